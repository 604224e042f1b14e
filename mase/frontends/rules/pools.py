"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from mase.frontends.rules.base import CallSite, Unit, from_call, from_module, is_tensor, pairs
from mase.ir import ops
from mase.ir.op import Op

__all__: list[str] = []

_MAX: dict[int, Callable[..., Op]] = {1: ops.pool.MaxPool1d, 2: ops.pool.MaxPool2d}
_AVG: dict[int, Callable[..., Op]] = {1: ops.pool.AvgPool1d, 2: ops.pool.AvgPool2d}
_ADAPTIVE: dict[type[nn.Module], tuple[Callable[..., Op], int]] = {
    nn.AdaptiveAvgPool1d: (ops.pool.AdaptiveAvgPool1d, 1),
    nn.AdaptiveAvgPool2d: (ops.pool.AdaptiveAvgPool2d, 2),
    nn.AdaptiveMaxPool1d: (ops.pool.AdaptiveMaxPool1d, 1),
    nn.AdaptiveMaxPool2d: (ops.pool.AdaptiveMaxPool2d, 2),
}
_F = "torch.nn.functional"


def _max(rank: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Op:
    sizes = pairs(kernel, rank)
    return _MAX[rank](
        kernel=sizes,
        stride=pairs(stride, rank) if stride else sizes,
        padding=pairs(padding, rank),
        dilation=pairs(dilation, rank),
        ceil_mode=ceil_mode,
    )


@from_module.register(nn.MaxPool1d, nn.MaxPool2d)
def _max_module(m: nn.MaxPool2d) -> Op | None:
    if m.return_indices:
        return None
    rank = 1 if isinstance(m, nn.MaxPool1d) else 2
    return _max(rank, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode)


def _avg(
    rank: int, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool, divisor: int | None
) -> Op:
    sizes = pairs(kernel, rank)
    return _AVG[rank](
        kernel=sizes,
        stride=pairs(stride, rank) if stride else sizes,
        padding=pairs(padding, rank),
        ceil_mode=ceil_mode,
        count_include_pad=include,
        divisor_override=divisor,
    )


@from_module.register(nn.AvgPool1d, nn.AvgPool2d)
def _avg_module(m: nn.AvgPool2d) -> Op:
    rank = 1 if isinstance(m, nn.AvgPool1d) else 2
    divisor = getattr(m, "divisor_override", None)
    return _avg(rank, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, divisor)


@from_module.register(*_ADAPTIVE)
def _adaptive_module(m: nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) -> Op | None:
    if getattr(m, "return_indices", False):
        return None
    make, rank = next(entry for cls, entry in _ADAPTIVE.items() if isinstance(m, cls))
    return make(output_size=_output_size(rank, m.output_size))


def _output_size(rank: int, size: Any) -> tuple[int | None, ...]:
    return (size,) * rank if size is None or isinstance(size, int) else tuple(size)


def _register_max(rank: int) -> None:
    @from_call.register(f"aten.max_pool{rank}d.default", f"torch.max_pool{rank}d", f"{_F}.max_pool{rank}d")
    def _max_call(
        site: CallSite,
        input: object,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Unit | None:
        if return_indices or not is_tensor(input) or not _fixed(kernel_size, stride, padding):
            return None
        return Unit(_max(rank, kernel_size, stride, padding, dilation, ceil_mode), (input,))


def _register_avg(rank: int) -> None:
    @from_call.register(
        f"aten.avg_pool{rank}d.default",
        f"torch._C._nn.avg_pool{rank}d",
        f"torch.avg_pool{rank}d",
        f"{_F}.avg_pool{rank}d",
    )
    def _avg_call(
        site: CallSite,
        input: object,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Unit | None:
        if not is_tensor(input) or not _fixed(kernel_size, stride, padding):
            return None
        op = _avg(rank, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return Unit(op, (input,))


def _register_adaptive(rank: int) -> None:
    adaptive = (ops.pool.AdaptiveAvgPool1d, ops.pool.AdaptiveAvgPool2d)[rank - 1]

    @from_call.register(f"aten.adaptive_avg_pool{rank}d.default", f"{_F}.adaptive_avg_pool{rank}d")
    def _adaptive_call(site: CallSite, input: object, output_size: Any) -> Unit | None:
        size = _output_size(rank, output_size)
        if not is_tensor(input) or not _fixed(*size):
            return None
        return Unit(adaptive(output_size=size), (input,))


for _rank in (1, 2):
    _register_max(_rank)
    _register_avg(_rank)
    _register_adaptive(_rank)


def _fixed(*settings: Any) -> bool:
    """Whether settings are numbers and not sizes of another tensor."""
    return all(
        value is None or isinstance(value, int) or (isinstance(value, Sequence) and _fixed(*value))  # pyright: ignore[reportUnknownArgumentType]
        for value in settings
    )
