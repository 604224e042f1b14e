"""Sums and products of two values, and the product of a value with constants."""

from __future__ import annotations

from typing import Any

from mase.ir.formats.code import Code
from mase.ir.op import register_op
from mase.ir.ops.exact.base import ExactOp, carrier, codes
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.ops.shapes import broadcast
from mase.ir.types import TensorType, Type

__all__ = ["Add", "Binary", "Mul", "Scale"]


class Binary(ExactOp):
    """Base of the functions of two values that broadcast, in ``width`` bits."""

    width: int

    def infer(self, data_in: TensorType, other: TensorType) -> Type:
        x, y = codes(data_in, "data_in"), codes(other, "other")
        return TensorType(Code(self.width), broadcast(x.shape, y.shape))


@register_op("int.add")
class Add(Binary):
    """``(data_in - zero_point) * factor + (other - other_zero_point) * other_factor``.

    The factors bring both to one scale: powers of two where the scales are; else multipliers of up to 31
    bits. A negative ``other_factor`` subtracts.

    Args:
        width: bits of the result.
        factor: what ``data_in`` is multiplied by.
        other_factor: what ``other`` is multiplied by.
        zero_point: the code of 0 in ``data_in``.
        other_zero_point: the code of 0 in ``other``.
    """

    width: int
    factor: int = 1
    other_factor: int = 1
    zero_point: int = 0
    other_zero_point: int = 0

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x = operands[0].shifted(self.zero_point) * Interval(self.factor, self.factor)
        y = operands[1].shifted(self.other_zero_point) * Interval(self.other_factor, self.other_factor)
        carrier(hull([x, y]), "an aligned operand")
        return carrier(x + y, "the sum")


@register_op("int.mul")
class Mul(Binary):
    """``(data_in - zero_point) * (other - other_zero_point)``."""

    width: int
    zero_point: int = 0
    other_zero_point: int = 0

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x, y = operands[0].shifted(self.zero_point), operands[1].shifted(self.other_zero_point)
        return carrier(x * y, "the product")


@register_op("int.scale")
class Scale(ExactOp):
    """``data_in * factor + bias``, the factor one integer or, in the role ``factors``, a tensor of them.

    It is the ``1/n`` of an average, and the affine function of a batch norm.

    Args:
        width: bits of the result.
        factor: the factor where the node has no role ``factors``, which broadcasts over the operand, as
            the role ``bias`` does.
    """

    width: int
    factor: int = 1

    def infer(
        self, data_in: TensorType, *, factors: TensorType | None = None, bias: TensorType | None = None
    ) -> Type:
        x = codes(data_in, "data_in")
        for what, role in (("factors", factors), ("bias", bias)):
            if role is not None:
                broadcast(x.shape, codes(role, what).shape)
        return TensorType(Code(self.width), x.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        factors, bias = roles.get("factors"), roles.get("bias")
        factor = Interval(self.factor, self.factor) if factors is None else _range(factors)
        added = Interval(0, 0) if bias is None else _range(bias)
        product = carrier(operands[0] * factor, "the product")
        return carrier(product + added, "the sum")


def _range(tensor: Any) -> Interval:
    return Interval(int(tensor.min()), int(tensor.max()))
