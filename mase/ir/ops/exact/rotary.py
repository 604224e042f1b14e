"""Rotary embedding of positions, of integers."""

from __future__ import annotations

from typing import Any

from mase.ir.formats.code import Code
from mase.ir.op import register_op
from mase.ir.ops import attention
from mase.ir.ops.exact.base import ExactOp, carrier, codes
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.types import TensorType, Type

__all__ = ["RotaryEmbedding"]


@register_op("int.rotary_embedding")
class RotaryEmbedding(ExactOp):
    """``x * cos * cos_factor + rotate(x) * sin * sin_factor`` of ``x = data_in - zero_point``.

    ``rotate`` makes ``[-b, a]`` of ``[a, b]``. The factors bring both products to one scale.

    Args:
        width: bits of the result.
        interleaved: whether ``a`` and ``b`` are the even and odd features and not the two halves.
        zero_point: the code of 0 in ``data_in``.
        cos_factor: what the products with the cosines are multiplied by.
        sin_factor: what the products with the sines are multiplied by.
    """

    width: int
    interleaved: bool = False
    zero_point: int = 0
    cos_factor: int = 1
    sin_factor: int = 1

    def infer(self, data_in: TensorType, cos: TensorType, sin: TensorType) -> Type:
        angles = codes(cos, "cos"), codes(sin, "sin")
        base = attention.RotaryEmbedding(interleaved=self.interleaved)
        result = base.infer(codes(data_in, "data_in"), *angles)
        assert isinstance(result, TensorType)
        return TensorType(Code(self.width), result.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x, cos, sin = operands
        x = x.shifted(self.zero_point)
        either = hull([x, Interval(-x.max, -x.min)])
        straight = x * cos * Interval(self.cos_factor, self.cos_factor)
        turned = either * sin * Interval(self.sin_factor, self.sin_factor)
        carrier(hull([straight, turned]), "a product")
        return carrier(straight + turned, "the sum")
