"""The numbers that codes mean: multiples of a step."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mase.ir.formats import Fixed

__all__ = ["Numbers"]


@dataclass(frozen=True)
class Numbers:
    """``k * step`` for every integer ``k`` from ``first`` to ``last``: codes less their zero point.

    Args:
        first: the least.
        last: the greatest.
        step: positive.

    Example:
        >>> Numbers.of(Fixed(4, 1)), Numbers.of(Fixed(4, 1)).count
        (Numbers(first=-8, last=7, step=Fraction(1, 2)), 16)
    """

    first: int
    last: int
    step: Fraction

    @classmethod
    def of(cls, format: Fixed | Numbers) -> Numbers:
        """The numbers of a format in fixed point; numbers stay as they are."""
        if isinstance(format, Numbers):
            return format
        return cls(format.code_min, format.code_max, Fraction(2) ** -format.frac)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.last - self.first + 1

    @property
    def width(self) -> int:
        """The bits that say which one it is."""
        return (self.count - 1).bit_length()

    @property
    def magnitude(self) -> int:
        """The largest absolute value of an integer."""
        return max(-self.first, self.last)

    def __str__(self) -> str:
        return f"{self.count} numbers {float(self.step):g} apart"
