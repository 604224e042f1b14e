"""Rotary embedding of integers."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir.ops.exact import RotaryEmbedding
from mase.runtime.exact.registry import execute

__all__ = ["rotary_embedding"]


@execute.register(RotaryEmbedding)
def rotary_embedding(op: RotaryEmbedding, data_in: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``int.rotary_embedding``."""
    x = data_in - op.zero_point
    if op.interleaved:
        turned = torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)
    else:
        first, second = x.chunk(2, -1)
        turned = torch.cat((-second, first), -1)
    return x * cos * op.cos_factor + turned * sin * op.sin_factor
