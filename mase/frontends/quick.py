"""Results of common units on fake tensors without running them: the type is all that a trace needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mase.ir import ops
from mase.ir.op import Op

__all__ = ["attention_result", "quick_result"]


def quick_result(op: Op | None, module: nn.Module, *operands: Any) -> torch.Tensor | None:
    """What a leaf gives, or None if its forward has to tell (and to complain, where operands do not fit)."""
    x = operands[0] if operands else None
    if not isinstance(x, torch.Tensor) or len(operands) != 1:
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


def attention_result(query: Any, key: Any, value: Any, *settings: Any, **named: Any) -> torch.Tensor | None:
    """What attention gives, or None if batch dimensions would have to broadcast."""
    tensors = all(isinstance(t, torch.Tensor) for t in (query, key, value))
    if not tensors or not query.dim() == key.dim() == value.dim() or query.dtype != value.dtype:
        return None
    return query.new_empty((*query.shape[:-1], value.shape[-1]))
