"""Sums of integers over dimensions and windows."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mase.ir.ops.exact import Sum, WindowSum
from mase.runtime.exact.registry import execute

__all__ = ["total", "window_sum"]


@execute.register(Sum)
def total(op: Sum, data_in: Tensor) -> Tensor:
    """``int.sum``."""
    dims = tuple(range(data_in.dim())) if op.dims is None else op.dims
    centred = data_in - op.zero_point
    return centred.sum(dims, keepdim=op.keepdim) if dims else centred


@execute.register(WindowSum)
def window_sum(op: WindowSum, data_in: Tensor) -> Tensor:
    """``int.window_sum``."""
    x = data_in - op.zero_point
    planes = x if x.dim() > 2 else x.unsqueeze(0)
    result = F.avg_pool2d(planes, op.kernel, op.stride, op.padding, op.ceil_mode, True, divisor_override=1)
    return result if x.dim() > 2 else result.squeeze(0)
