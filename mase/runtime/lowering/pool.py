"""Lowering of pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F

from mase.ir.ops import pool
from mase.runtime.lowering.registry import Function, Source, to_arguments, to_module

__all__ = ["adaptive_arguments", "adaptive_pool", "window_arguments", "window_pool"]

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
    """Max and average pools."""
    return Function(_WINDOWS[type(op)], kwargs=to_arguments(op, source))


@to_arguments.register(*_WINDOWS)
def window_arguments(op: pool.MaxPool | pool.AvgPool, source: Source) -> dict[str, Any]:
    """The op's ``kernel`` is ``kernel_size`` to torch, which knows no divisor in one dimension."""
    arguments = op.attributes()
    arguments["kernel_size"] = arguments.pop("kernel")
    if isinstance(op, pool.AvgPool1d) and arguments.pop("divisor_override") is not None:
        raise source.error("torch has no divisor_override for one dimension")
    return arguments


@to_module.register(*_ADAPTIVE)
def adaptive_pool(op: pool.AdaptivePool, source: Source) -> Function:
    """Adaptive pools."""
    return Function(_ADAPTIVE[type(op)], kwargs=to_arguments(op, source))


@to_arguments.register(*_ADAPTIVE)
def adaptive_arguments(op: pool.AdaptivePool, source: Source) -> dict[str, Any]:
    """The size; of one dimension it is a number."""
    return {"output_size": op.output_size[0] if op.spatial == 1 else op.output_size}
