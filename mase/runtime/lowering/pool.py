"""Lowering of pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mase.ir import Op, TensorType
from mase.ir.formats import Code
from mase.ir.ops import pool
from mase.runtime.lowering.registry import Function, Source, to_arguments, to_module

__all__ = ["adaptive_arguments", "adaptive_pool", "pool_of_integers", "window_arguments", "window_pool"]

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
    return _pool(_WINDOWS[type(op)], op, source)


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
    return _pool(_ADAPTIVE[type(op)], op, source)


def _pool(function: Callable[..., Any], op: Op, source: Source) -> Function:
    arguments = to_arguments(op, source)
    type = source.node.type
    if isinstance(type, TensorType) and isinstance(type.format, Code):
        return Function(pool_of_integers, kwargs=arguments | {"name": function.__name__})
    return Function(function, kwargs=arguments)


def pool_of_integers(x: Tensor, *, name: str, **arguments: Any) -> Tensor:
    """A max-pool by name of integers of up to 53 bits, for which torch has none in every dimension."""
    function: Callable[..., Tensor] = getattr(F, name)
    return function(x.double(), **arguments).long()


@to_arguments.register(*_ADAPTIVE)
def adaptive_arguments(op: pool.AdaptivePool, source: Source) -> dict[str, Any]:
    """The size; of one dimension it is a number."""
    return {"output_size": op.output_size[0] if op.spatial == 1 else op.output_size}
