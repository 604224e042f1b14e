"""Lowering of pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F

from mase.ir.ops import pool
from mase.runtime.lowering.registry import Function, Source, to_module

__all__ = ["adaptive_pool", "window_pool"]

_WINDOWS: dict[type[Any], Callable[..., Any]] = {
    pool.MaxPool1d: F.max_pool1d,
    pool.MaxPool2d: F.max_pool2d,
    pool.AvgPool1d: F.avg_pool1d,
    pool.AvgPool2d: F.avg_pool2d,
}
_ADAPTIVE: dict[type[Any], Callable[..., Any]] = {
    pool.AdaptiveAvgPool1d: F.adaptive_avg_pool1d,
    pool.AdaptiveAvgPool2d: F.adaptive_avg_pool2d,
    pool.AdaptiveMaxPool1d: F.adaptive_max_pool1d,
    pool.AdaptiveMaxPool2d: F.adaptive_max_pool2d,
}


@to_module.register(*_WINDOWS)
def window_pool(op: pool.MaxPool | pool.AvgPool, source: Source) -> Function:
    """Max and average pools; torch says ``kernel_size`` where the op says ``kernel``."""
    kwargs = op.attributes()
    kwargs["kernel_size"] = kwargs.pop("kernel")
    if isinstance(op, pool.AvgPool1d) and op.divisor_override is None:
        del kwargs["divisor_override"]
    return Function(_WINDOWS[type(op)], kwargs=kwargs)


@to_module.register(*_ADAPTIVE)
def adaptive_pool(op: pool.AdaptivePool, source: Source) -> Function:
    """Adaptive pools; the one-dimensional ones take a number."""
    size = op.output_size[0] if op.spatial == 1 else op.output_size
    return Function(_ADAPTIVE[type(op)], kwargs={"output_size": size})
