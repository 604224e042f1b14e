"""Sums of products: linear, convolutions, and the product of two matrices of values."""

from __future__ import annotations

from typing import Any, ClassVar

from mase.ir.formats.code import Code
from mase.ir.op import OpError, register_op
from mase.ir.ops import conv, nn
from mase.ir.ops import tensor as tensor_ops
from mase.ir.ops.conv import PaddingMode
from mase.ir.ops.exact.base import ExactOp, carrier, codes
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.types import TensorType, Type

__all__ = ["Contraction", "Conv", "Conv1d", "Conv2d", "Conv3d", "Linear", "MatMul", "weighted_sum"]


class Contraction(ExactOp):
    """Base of ``sum((data_in - zero_point) * weight) + bias``, accumulated in ``width`` bits."""

    width: int
    zero_point: int

    @property
    def float_op(self) -> nn.Linear | conv.Conv | conv.ConvTranspose:
        """The float op of the same geometry."""
        raise OpError(f"{type(self).__name__} does not define float_op")

    def infer(self, data_in: TensorType, *, weight: TensorType, bias: TensorType | None = None) -> Type:
        x, w = codes(data_in, "data_in"), codes(weight, "weight")
        b = None if bias is None else codes(bias, "bias")
        result = self.float_op.infer(x, weight=w, bias=b)
        assert isinstance(result, TensorType)
        return TensorType(Code(self.width), result.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x = operands[0].shifted(self.zero_point)
        if isinstance(self.float_op, conv.Conv) and any(p != (0, 0) for p in self.float_op.padding):
            x = hull([x, Interval(0, 0)])  # the padding
        return carrier(weighted_sum(x, roles["weight"], roles.get("bias")), "the accumulator")


def weighted_sum(x: Interval, weight: Any, bias: Any = None) -> Interval:
    """The interval of ``sum(x * weight) + bias`` over all rows of the real weights.

    Args:
        x: what each operand may be.
        weight: integers ``[outputs, ...]``.
        bias: integers ``[outputs]``.
    """
    rows = weight.reshape(weight.shape[0], -1).long()
    positive, negative = rows.clamp(min=0).sum(1).tolist(), rows.clamp(max=0).sum(1).tolist()
    biases = [0] * len(positive) if bias is None else bias.tolist()
    return hull(
        Interval(p * x.min + n * x.max + b, p * x.max + n * x.min + b)
        for p, n, b in zip(positive, negative, biases, strict=True)
    )


@register_op("int.linear")
class Linear(Contraction):
    """``(data_in - zero_point) @ weight.T + bias``; weight is ``[out, in]``."""

    width: int
    zero_point: int = 0

    @property
    def float_op(self) -> nn.Linear:
        return nn.Linear()


class Conv(Contraction):
    """Base of the convolutions; zeros of the padding are codes ``zero_point``."""

    base: ClassVar[type[conv.Conv]]
    width: int
    zero_point: int
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: PaddingMode

    @property
    def float_op(self) -> conv.Conv:
        made: Any = self.base
        return made(
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            padding_mode=self.padding_mode,
        )


@register_op("int.conv1d")
class Conv1d(Conv):
    """Convolution over one spatial dimension."""

    base = conv.Conv1d
    width: int
    zero_point: int = 0
    stride: tuple[int, ...] = (1,)
    padding: tuple[tuple[int, int], ...] = ((0, 0),)
    dilation: tuple[int, ...] = (1,)
    groups: int = 1
    padding_mode: PaddingMode = "zeros"


@register_op("int.conv2d")
class Conv2d(Conv):
    """Convolution over two spatial dimensions."""

    base = conv.Conv2d
    width: int
    zero_point: int = 0
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    padding_mode: PaddingMode = "zeros"


@register_op("int.conv3d")
class Conv3d(Conv):
    """Convolution over three spatial dimensions."""

    base = conv.Conv3d
    width: int
    zero_point: int = 0
    stride: tuple[int, ...] = (1, 1, 1)
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0), (0, 0))
    dilation: tuple[int, ...] = (1, 1, 1)
    groups: int = 1
    padding_mode: PaddingMode = "zeros"


@register_op("int.matmul")
class MatMul(ExactOp):
    """``(data_in - zero_point) @ (other - other_zero_point)`` of two values, accumulated in ``width`` bits.

    Args:
        width: bits of the accumulator.
        terms: how many products each element sums.
        zero_point: the code of 0 in ``data_in``.
        other_zero_point: the code of 0 in ``other``.
    """

    width: int
    terms: int
    zero_point: int = 0
    other_zero_point: int = 0

    def infer(self, data_in: TensorType, other: TensorType) -> Type:
        x, y = codes(data_in, "data_in"), codes(other, "other")
        inner = x.shape[-1] if x.rank else 1
        if isinstance(inner, int) and inner != self.terms:
            raise OpError(f"terms: expected {inner}, found {self.terms}")
        result = tensor_ops.MatMul().infer(x, y)
        assert isinstance(result, TensorType)
        return TensorType(Code(self.width), result.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x, y = operands[0].shifted(self.zero_point), operands[1].shifted(self.other_zero_point)
        return carrier((x * y).times(self.terms), "the accumulator")
