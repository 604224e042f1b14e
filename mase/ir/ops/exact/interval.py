"""Intervals of integers: what value-range analysis knows of a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mase.ir.formats.code import Code

__all__ = ["Interval", "hull"]


@dataclass(frozen=True)
class Interval:
    """Every integer from ``min`` to ``max``, in Python's integers, which do not overflow.

    Example:
        >>> x = Interval(-128, 127)
        >>> x + Interval(0, 1), x * Interval(-2, 3), x.width
        (Interval(min=-128, max=128), Interval(min=-384, max=381), 8)
    """

    min: int
    max: int

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError(f"no integer lies between {self.min} and {self.max}")

    def __str__(self) -> str:
        return f"[{self.min}, {self.max}]"

    @classmethod
    def of(cls, format: Code) -> Interval:
        """All codes of a format."""
        return cls(format.code_min, format.code_max)

    @property
    def width(self) -> int:
        """The bits of the narrowest signed integer that holds the interval."""
        return max(max(self.max, 0).bit_length(), (~min(self.min, -1)).bit_length()) + 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value."""
        return max(abs(self.min), abs(self.max))

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.min + other.min, self.max + other.max)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.min - other.max, self.max - other.min)

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.min, self.max) for b in (other.min, other.max)]
        return Interval(min(ends), max(ends))

    def shifted(self, by: int) -> Interval:
        """Every integer less a constant, such as a zero point."""
        return Interval(self.min - by, self.max - by)

    def times(self, count: int) -> Interval:
        """The sums of ``count`` numbers of the interval."""
        return Interval(self.min * count, self.max * count)

    def within(self, other: Interval) -> bool:
        """Whether ``other`` holds every number of this interval."""
        return other.min <= self.min and self.max <= other.max

    def clipped(self, other: Interval) -> Interval:
        """What clipping to ``other`` leaves."""
        return Interval(*(min(max(end, other.min), other.max) for end in (self.min, self.max)))


def hull(intervals: Iterable[Interval]) -> Interval:
    """The smallest interval that holds all of some.

    Example:
        >>> hull([Interval(0, 1), Interval(5, 6)])
        Interval(min=0, max=6)
    """
    known = list(intervals)
    return Interval(min(i.min for i in known), max(i.max for i in known))
