"""A function of one number as a table of straight lines."""

from __future__ import annotations

from typing import Any

from mase.ir.format import Format
from mase.ir.formats import Fixed
from mase.ir.formats.code import Code
from mase.ir.op import register_op
from mase.ir.ops.exact.base import ExactOp, carrier, codes, fixed
from mase.ir.ops.exact.interval import Interval
from mase.ir.types import TensorType, Type

__all__ = ["Piecewise"]


@register_op("int.piecewise")
class Piecewise(ExactOp):
    """``(offset[i] + slope[i] * t) * 2**-frac``, rounded and saturated as ``out`` says.

    The upper bits of ``u = min(max(data_in - first, 0), count - 1)`` say one of at most 256 bins of
    ``2**bits`` codes, ``b = u >> bits``. A bin is cut into segments of ``2**shift[b]`` codes, as many as the
    function needs there: ``i = start[b] + (r >> shift[b])`` with ``r = u % 2**bits``, and
    ``t = r % 2**shift[b]``.

    Args:
        first: the least code.
        count: how many codes there are.
        bits: of a code within its bin.
        frac: fractional bits of offsets and slopes.
        out: the format of the result.
        error: the largest difference from the function, in steps of ``out``, over all codes.
    """

    first: int
    count: int
    bits: int
    frac: int
    out: Format
    error: float = 0.5

    @property
    def format(self) -> Fixed:
        """The format of the result."""
        return fixed(self.out)

    def infer(
        self,
        data_in: TensorType,
        *,
        start: TensorType,
        shift: TensorType,
        offset: TensorType,
        slope: TensorType,
    ) -> Type:
        for what, role in (("start", start), ("shift", shift), ("offset", offset), ("slope", slope)):
            codes(role, what, 1)
        return TensorType(Code(self.format.width, self.format.signed), codes(data_in, "data_in").shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        along = Interval(0, (1 << int(roles["shift"].max())) - 1)
        slope, offset = (Interval(int(r.min()), int(r.max())) for r in (roles["slope"], roles["offset"]))
        carrier(slope * along * Interval(2, 2) + offset * Interval(2, 2), "a line")  # and room to round
        return Interval(self.format.code_min, self.format.code_max)
