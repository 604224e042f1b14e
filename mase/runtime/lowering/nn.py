"""Lowering of linear, embedding, dropout, attention and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import nn as torch_nn

from mase.ir.ops import attention as attention_ops
from mase.ir.ops import nn
from mase.runtime.lowering.registry import Function, Source, to_arguments, to_module
from mase.runtime.modules.attention import Attention

__all__ = [
    "activation",
    "attention",
    "dropout",
    "embedding",
    "embedding_arguments",
    "identity",
    "linear",
    "linear_arguments",
    "no_arguments",
]

_FUNCTIONS: dict[type[nn.Activation], Callable[..., Any]] = {
    nn.Relu: F.relu,
    nn.Relu6: F.relu6,
    nn.LeakyRelu: F.leaky_relu,
    nn.Elu: F.elu,
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
    return Function(_FUNCTIONS[type(op)], kwargs=op.attributes())


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


@to_arguments.register(nn.Relu)
def no_arguments(op: nn.Relu, source: Source) -> dict[str, Any]:
    """A relu has none."""
    return {}


@to_module.register(nn.Dropout)
def dropout(op: nn.Dropout, source: Source) -> torch_nn.Module:
    """``nn.dropout``."""
    return _DROPOUTS[op.dims](op.p)


@to_module.register(attention_ops.Attention)
def attention(op: attention_ops.Attention, source: Source) -> torch_nn.Module:
    """``nn.attention``."""
    return Attention(op.dropout, op.causal, op.scale, op.grouped)
