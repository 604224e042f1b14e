"""A function of one number as a table."""

from __future__ import annotations

from typing import Any

from mase.ir.formats.code import Code
from mase.ir.op import register_op
from mase.ir.ops.exact.base import ExactOp, codes
from mase.ir.ops.exact.interval import Interval
from mase.ir.types import TensorType, Type

__all__ = ["Table"]


@register_op("int.table")
class Table(ExactOp):
    """``table[data_in - first]``; codes beyond the table take its ends.

    Args:
        format: the format of the entries.
        first: the code of the first entry.
    """

    format: Code
    first: int

    def infer(self, data_in: TensorType, *, table: TensorType) -> Type:
        codes(table, "table", 1)
        return TensorType(self.format, codes(data_in, "data_in").shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        table = roles["table"]
        last = len(table) - 1
        low, high = (min(max(end - self.first, 0), last) for end in (operands[0].min, operands[0].max))
        reached = table[low : high + 1]
        return Interval(int(reached.min()), int(reached.max()))
