"""Sums over dimensions and over windows: averages before their division."""

from __future__ import annotations

import math
from typing import Any

from mase.ir.formats.code import Code
from mase.ir.op import OpError, register_op
from mase.ir.ops import pool
from mase.ir.ops import tensor as tensor_ops
from mase.ir.ops.exact.base import ExactOp, carrier, codes
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.types import TensorType, Type

__all__ = ["Sum", "WindowSum"]


@register_op("int.sum")
class Sum(ExactOp):
    """The sum of ``data_in - zero_point`` over ``dims``, all if None.

    Args:
        width: bits of the result.
        terms: how many elements each sum has.
        dims: the dimensions.
        keepdim: whether they stay with size 1.
        zero_point: the code of 0.
    """

    width: int
    terms: int
    dims: tuple[int, ...] | None = None
    keepdim: bool = False
    zero_point: int = 0

    def infer(self, data_in: TensorType) -> Type:
        x = codes(data_in, "data_in")
        result = tensor_ops.Mean(dims=self.dims, keepdim=self.keepdim).infer(x)
        assert isinstance(result, TensorType)
        summed = range(x.rank) if self.dims is None else self.dims
        known = [d for i in summed if isinstance(d := x.shape[i], int)]
        if len(known) == len(summed) and math.prod(known) != self.terms:
            raise OpError(f"terms: expected {math.prod(known)}, found {self.terms}")
        return TensorType(Code(self.width), result.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        return carrier(operands[0].shifted(self.zero_point).times(self.terms), "the sum")


@register_op("int.window_sum")
class WindowSum(ExactOp):
    """The sum of each window of the last two dimensions, of the codes less ``zero_point``.

    Args:
        width: bits of the result.
        kernel: the window's size.
        stride: its steps.
        padding: zeros on either side.
        ceil_mode: whether a last, incomplete window counts.
        zero_point: the code of 0.
    """

    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    ceil_mode: bool = False
    zero_point: int = 0

    def infer(self, data_in: TensorType) -> Type:
        x = codes(data_in, "data_in")
        window = pool.AvgPool2d(
            kernel=self.kernel, stride=self.stride, padding=self.padding, ceil_mode=self.ceil_mode
        )
        result = window.infer(x)
        assert isinstance(result, TensorType)
        return TensorType(Code(self.width), result.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        each = hull([operands[0].shifted(self.zero_point), Interval(0, 0)])
        return carrier(each.times(math.prod(self.kernel)), "the sum")
