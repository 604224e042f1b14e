"""Convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import nn

from mase.frontends.rules.base import CallSite, Unit, from_call, from_module, is_tensor, pairs
from mase.ir import ops
from mase.ir.op import Op
from mase.ir.types import TensorType

__all__: list[str] = []

_CONVS: dict[int, Callable[..., Op]] = {1: ops.conv.Conv1d, 2: ops.conv.Conv2d, 3: ops.conv.Conv3d}
_TRANSPOSED: dict[int, Callable[..., Op]] = {
    1: ops.conv.ConvTranspose1d,
    2: ops.conv.ConvTranspose2d,
    3: ops.conv.ConvTranspose3d,
}
Padding = Literal["same", "valid"] | int | Sequence[int]


def _conv(
    rank: int, kernel: Sequence[int], stride: Any, padding: Padding, dilation: Any, groups: int, mode: Any
) -> Op:
    dilations = pairs(dilation, rank)
    return _CONVS[rank](
        stride=pairs(stride, rank),
        padding=_padding(padding, kernel, dilations),
        dilation=dilations,
        groups=groups,
        padding_mode=mode,
    )


def _conv_transpose(
    rank: int, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int
) -> Op:
    return _TRANSPOSED[rank](
        stride=pairs(stride, rank),
        padding=pairs(padding, rank),
        output_padding=pairs(output_padding, rank),
        dilation=pairs(dilation, rank),
        groups=groups,
    )


def _padding(padding: Padding, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The (before, after) pair of each dimension; ``"same"`` puts an odd one after, as torch does."""
    if isinstance(padding, str):
        reach = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in reach)
    return tuple((p, p) for p in pairs(padding, len(kernel)))


@from_module.register(nn.Conv1d, nn.Conv2d, nn.Conv3d)
def _conv_module(m: nn.Conv2d) -> Op:
    rank = len(m.kernel_size)
    padding: Any = m.padding
    return _conv(rank, m.kernel_size, m.stride, padding, m.dilation, m.groups, m.padding_mode)


@from_module.register(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
def _conv_transpose_module(m: nn.ConvTranspose2d) -> Op:
    rank = len(m.kernel_size)
    padding: Any = m.padding
    return _conv_transpose(rank, m.stride, padding, m.output_padding, m.dilation, m.groups)


def _register_conv(rank: int) -> None:
    name = f"conv{rank}d"

    @from_call.register(
        f"aten.{name}.default", f"aten.{name}.padding", f"torch.{name}", f"torch.nn.functional.{name}"
    )
    def _conv_call(
        site: CallSite,
        input: object,
        weight: object,
        bias: object = None,
        stride: Any = 1,
        padding: Padding = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Unit | None:
        roles, kernel = site.roles(weight=weight, bias=bias), _kernel(weight)
        if not is_tensor(input) or not roles or kernel is None:
            return None
        return Unit(_conv(rank, kernel, stride, padding, dilation, groups, "zeros"), (input,), roles)


def _register_conv_transpose(rank: int) -> None:
    name = f"conv_transpose{rank}d"

    @from_call.register(f"aten.{name}.default", f"aten.{name}.input", f"torch.{name}")
    def _conv_transpose_call(
        site: CallSite,
        input: object,
        weight: object,
        bias: object = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Unit | None:
        roles = site.roles(weight=weight, bias=bias)
        if not is_tensor(input) or not roles:
            return None
        op = _conv_transpose(rank, stride, padding, output_padding, dilation, groups)
        return Unit(op, (input,), roles)


for _rank in (1, 2, 3):
    _register_conv(_rank)
    _register_conv_transpose(_rank)


def _kernel(weight: object) -> list[int] | None:
    if not (is_tensor(weight) and isinstance(weight.type, TensorType)):
        return None
    return [d for d in weight.type.shape[2:] if isinstance(d, int)]
