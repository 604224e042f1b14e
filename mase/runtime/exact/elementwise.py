"""Sums and products of integers, element by element; and rows of a table."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mase.ir.ops.exact import Add, Embedding, Mul, Scale
from mase.runtime.exact.registry import execute

__all__ = ["add", "embedding", "mul", "scale"]


@execute.register(Add)
def add(op: Add, data_in: Tensor, other: Tensor) -> Tensor:
    """``int.add``."""
    return (data_in - op.zero_point) * op.factor + (other - op.other_zero_point) * op.other_factor


@execute.register(Mul)
def mul(op: Mul, data_in: Tensor, other: Tensor) -> Tensor:
    """``int.mul``."""
    return (data_in - op.zero_point) * (other - op.other_zero_point)


@execute.register(Scale)
def scale(op: Scale, data_in: Tensor, *, factors: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """``int.scale``."""
    product = data_in * (op.factor if factors is None else factors.long())
    return product if bias is None else product + bias.long()


@execute.register(Embedding)
def embedding(op: Embedding, indices: Tensor, *, weight: Tensor) -> Tensor:
    """``int.embedding``."""
    return F.embedding(indices, weight).long()
