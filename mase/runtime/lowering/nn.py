"""Lowering of linear, embedding, dropout, attention and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn as torch_nn

from mase.ir import Hole, Op
from mase.ir.ops import attention as attention_ops
from mase.ir.ops import nn
from mase.ir.ops.drop_path import DropPath as DropPathOp
from mase.runtime.lowering.registry import Function, Source, to_arguments, to_module
from mase.runtime.modules import Attention, RotaryEmbedding
from mase.runtime.modules.drop_path import DropPath

__all__ = [
    "activation",
    "attention",
    "drop_path",
    "dropout",
    "embedding",
    "embedding_arguments",
    "identity",
    "kv_cache",
    "linear",
    "linear_arguments",
    "own_attributes",
    "rotary_embedding",
]

_FUNCTIONS: dict[type[nn.Activation], Callable[..., Any]] = {
    nn.Relu: F.relu,
    nn.Relu6: F.relu6,
    nn.LeakyRelu: F.leaky_relu,
    nn.Elu: F.elu,
    nn.Selu: F.selu,
    nn.Hardtanh: F.hardtanh,
    nn.Hardsigmoid: F.hardsigmoid,
    nn.Hardswish: F.hardswish,
    nn.Gelu: F.gelu,
    nn.Silu: F.silu,
    nn.Tanh: F.tanh,
    nn.Sigmoid: F.sigmoid,
    nn.Softplus: F.softplus,
    nn.Softsign: F.softsign,
    nn.Softmax: F.softmax,
    nn.LogSoftmax: F.log_softmax,
}
_DROPOUTS = (torch_nn.Dropout, torch_nn.Dropout1d, torch_nn.Dropout2d, torch_nn.Dropout3d)


@to_module.register(*_FUNCTIONS)
def activation(op: nn.Activation, source: Source) -> Function:
    """The function of `torch.nn.functional` whose keyword arguments are the op's attributes."""
    return Function(_FUNCTIONS[type(op)], kwargs=to_arguments(op, source))


@to_arguments.register(*_FUNCTIONS)
@to_arguments.register(attention_ops.Attention, attention_ops.KVCache, attention_ops.RotaryEmbedding)
def own_attributes(op: Op, source: Source) -> dict[str, Any]:
    """Modules and functions whose arguments are called as the op's attributes."""
    return op.attributes()


@to_module.register(nn.Identity)
def identity(op: nn.Identity, source: Source) -> torch_nn.Module:
    """``nn.identity``."""
    return torch_nn.Identity()


@to_module.register(nn.Linear)
def linear(op: nn.Linear, source: Source) -> torch_nn.Module:
    """``nn.linear``."""
    return torch_nn.Linear(**to_arguments(op, source))


@to_arguments.register(nn.Linear)
def linear_arguments(op: nn.Linear, source: Source) -> dict[str, Any]:
    """What the constructor of a linear layer wants to know."""
    out_features, in_features = source.shape("weight")
    return {"in_features": in_features, "out_features": out_features, "bias": source.has("bias")}


@to_module.register(nn.Embedding)
def embedding(op: nn.Embedding, source: Source) -> torch_nn.Module:
    """``nn.embedding``."""
    return torch_nn.Embedding(**to_arguments(op, source))


@to_arguments.register(nn.Embedding)
def embedding_arguments(op: nn.Embedding, source: Source) -> dict[str, Any]:
    """What the constructor of an embedding wants to know."""
    rows, features = source.shape("weight")
    return {"num_embeddings": rows, "embedding_dim": features, **op.attributes()}


@to_module.register(nn.Dropout)
def dropout(op: nn.Dropout, source: Source) -> torch_nn.Module:
    """``nn.dropout``."""
    return _DROPOUTS[op.dims](op.p)


@to_module.register(DropPathOp)
def drop_path(op: DropPathOp, source: Source) -> torch_nn.Module:
    """``nn.drop_path``."""
    return DropPath(**op.attributes())


@to_module.register(attention_ops.Attention)
def attention(op: attention_ops.Attention, source: Source) -> torch_nn.Module:
    """``nn.attention``."""
    return Attention(**to_arguments(op, source))


@to_module.register(attention_ops.RotaryEmbedding)
def rotary_embedding(op: attention_ops.RotaryEmbedding, source: Source) -> torch_nn.Module:
    """``nn.rotary_embedding``."""
    return RotaryEmbedding(**to_arguments(op, source))


@to_module.register(attention_ops.KVCache)
def kv_cache(op: attention_ops.KVCache, source: Source) -> Function:
    """``nn.kv_cache``."""
    return Function(torch.cat, ([Hole(0), Hole(1)], op.dim))
