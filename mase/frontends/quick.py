"""Results of common units on fake tensors without running them: the type is all that a trace needs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from mase.ir import ops
from mase.ir.op import Op

__all__ = ["attention_result", "quick_result", "scan_result"]


def quick_result(op: Op | None, module: nn.Module, *operands: Any) -> Any:
    """What a leaf gives, or None if its forward has to tell (and to complain, where operands do not fit)."""
    x = operands[0] if operands else None
    if not isinstance(x, torch.Tensor):
        return None
    if isinstance(op, ops.recurrent.Recurrent):
        return _recurrent(op, cast(nn.RNNBase, module), x)
    if len(operands) != 1:
        return None
    match op:
        case ops.nn.Linear():
            return _linear(module, x)
        case ops.nn.Activation() | ops.nn.Dropout():
            return torch.empty_like(x)
        case ops.norm.LayerNorm() | ops.norm.RmsNorm():
            fits = tuple(x.shape[-len(op.normalized_shape) :]) == op.normalized_shape
            return torch.empty_like(x, memory_format=torch.contiguous_format) if fits else None
        case _:
            return None


def _linear(module: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    weight = module.weight
    if not isinstance(weight, torch.Tensor) or x.dtype != weight.dtype or not x.dim():
        return None
    if x.shape[-1] != weight.shape[1]:
        return None
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _recurrent(op: ops.recurrent.Recurrent, module: nn.RNNBase, x: torch.Tensor) -> Any:
    """The output and the last state; running the net would unroll it over the example's length."""
    if x.dim() not in (2, 3) or x.shape[-1] != module.input_size:
        return None
    directions = 2 if op.bidirectional else 1
    batch = () if x.dim() == 2 else (x.shape[0 if op.batch_first else 1],)
    features = module.proj_size or module.hidden_size
    output = x.new_empty((*x.shape[:-1], features * directions))
    state = x.new_empty((op.layers * directions, *batch, features))
    if not isinstance(op, ops.recurrent.Lstm):
        return output, state
    return output, (state, x.new_empty((op.layers * directions, *batch, module.hidden_size)))


def attention_result(query: Any, key: Any, value: Any, *settings: Any, **named: Any) -> torch.Tensor | None:
    """What attention gives, or None if batch dimensions would have to broadcast."""
    tensors = all(isinstance(t, torch.Tensor) for t in (query, key, value))
    if not tensors or not query.dim() == key.dim() == value.dim() or query.dtype != value.dtype:
        return None
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


def scan_result(
    x: torch.Tensor, step: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a selective scan gives: the result and the last state."""
    return torch.empty_like(x), x.new_empty((*x.shape[:2], a.shape[1]))
