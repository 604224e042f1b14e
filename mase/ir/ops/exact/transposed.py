"""Transposed convolutions of integers."""

from __future__ import annotations

from typing import Any, ClassVar

from mase.ir.op import register_op
from mase.ir.ops import conv
from mase.ir.ops.exact.base import carrier
from mase.ir.ops.exact.contraction import Contraction, weighted_sum
from mase.ir.ops.exact.interval import Interval, hull

__all__ = ["ConvTranspose", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class ConvTranspose(Contraction):
    """Base of the transposed convolutions; weight is ``[in, out/groups, *kernel]``."""

    base: ClassVar[type[conv.ConvTranspose]]
    width: int
    zero_point: int
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def float_op(self) -> conv.ConvTranspose:
        made: Any = self.base
        return made(
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        # A result sums the taps that meet an element, which are all of an output's or fewer.
        x = hull([operands[0].shifted(self.zero_point), Interval(0, 0)])
        weight = roles["weight"]
        inputs, outputs, *kernel = weight.shape
        split = weight.reshape(self.groups, inputs // self.groups, outputs, *kernel)
        rows = split.transpose(1, 2).reshape(self.groups * outputs, -1)
        return carrier(weighted_sum(x, rows, roles.get("bias")), "the accumulator")


@register_op("int.conv_transpose1d")
class ConvTranspose1d(ConvTranspose):
    """Transposed convolution over one spatial dimension."""

    base = conv.ConvTranspose1d
    width: int
    zero_point: int = 0
    stride: tuple[int, ...] = (1,)
    padding: tuple[int, ...] = (0,)
    output_padding: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    groups: int = 1


@register_op("int.conv_transpose2d")
class ConvTranspose2d(ConvTranspose):
    """Transposed convolution over two spatial dimensions."""

    base = conv.ConvTranspose2d
    width: int
    zero_point: int = 0
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    output_padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1


@register_op("int.conv_transpose3d")
class ConvTranspose3d(ConvTranspose):
    """Transposed convolution over three spatial dimensions."""

    base = conv.ConvTranspose3d
    width: int
    zero_point: int = 0
    stride: tuple[int, ...] = (1, 1, 1)
    padding: tuple[int, ...] = (0, 0, 0)
    output_padding: tuple[int, ...] = (0, 0, 0)
    dilation: tuple[int, ...] = (1, 1, 1)
    groups: int = 1
