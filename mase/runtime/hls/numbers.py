"""Ranges of fixed-point numbers, and the types that hold them as hls4ml writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Fixed

__all__ = ["Range", "on_grid", "plain", "type_of_format"]

_ROUNDING = {"half_even": "RND_CONV", "half_up": "RND", "floor": "TRN"}
_MOST_FRAC = 160  # the last bit of the smallest float32 is 2**-149


@dataclass(frozen=True)
class Range:
    """Numbers ``k * 2**-frac`` with ``low <= k <= high``.

    Example:
        >>> x = Range.of(Fixed(8, 4))
        >>> x.plus(Range(6, 0, 3)), str(x), str(x.clipped(0, 127))
        (Range(frac=6, low=-512, high=511), 'fixed<8,4>', 'ufixed<7,3>')
    """

    frac: int
    low: int
    high: int

    @classmethod
    def of(cls, format: Fixed) -> Range:
        """All numbers of a format."""
        return cls(format.frac, format.code_min, format.code_max)

    @classmethod
    def among(cls, codes: NDArray[Any], frac: int) -> Range:
        """From the least of some codes to the largest."""
        return cls(frac, int(codes.min()), int(codes.max())) if codes.size else cls(frac, 0, 0)

    @property
    def bits(self) -> int:
        """The width of the type that holds it."""
        return max(self._magnitude + int(self.low < 0), 1)

    @property
    def _magnitude(self) -> int:
        return max(
            self.high.bit_length() if self.high > 0 else 0,
            (-self.low - 1).bit_length() if self.low < 0 else 0,
        )

    def __str__(self) -> str:
        """The type that holds it: all bits, and those before the point."""
        return f"{'' if self.low < 0 else 'u'}fixed<{self.bits},{self.bits - self.frac}>"

    @property
    def signed(self) -> str:
        """The same with a sign in any case."""
        return str(self) if self.low < 0 else f"fixed<{self.bits + 1},{self.bits + 1 - self.frac}>"

    def aligned(self, frac: int) -> Range:
        """The same numbers with at least ``frac`` fractional bits."""
        shift = max(frac - self.frac, 0)
        return Range(self.frac + shift, self.low << shift, self.high << shift)

    def plus(self, other: Range) -> Range:
        """All sums."""
        a, b = self.aligned(other.frac), other.aligned(self.frac)
        return Range(a.frac, a.low + b.low, a.high + b.high)

    def minus(self, other: Range) -> Range:
        """All differences."""
        return self.plus(Range(other.frac, -other.high, -other.low))

    def times(self, other: Range) -> Range:
        """All products."""
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Range(self.frac + other.frac, min(ends), max(ends))

    def hull(self, other: Range) -> Range:
        """The numbers of both, and those between."""
        a, b = self.aligned(other.frac), other.aligned(self.frac)
        return Range(a.frac, min(a.low, b.low), max(a.high, b.high))

    def with_zero(self) -> Range:
        """The same, and zero."""
        return Range(self.frac, min(self.low, 0), max(self.high, 0))

    def clipped(self, low: int, high: int) -> Range:
        """The same with the ends within ``low`` and ``high``."""
        return Range(self.frac, min(max(self.low, low), high), max(min(self.high, high), low))

    def within(self, format: Fixed) -> bool:
        """Whether a format holds them all, so that quantizing to it changes nothing."""
        own = self.aligned(format.frac)
        return own.frac == format.frac and format.code_min <= own.low and own.high <= format.code_max

    def sums(self, codes: NDArray[Any], frac: int) -> Range:
        """What sums of products with the rows of ``codes`` may be.

        Args:
            codes: ``[outputs, terms]``, integers.
            frac: their fractional bits.
        """
        up = np.where(codes > 0, codes, 0).sum(1).astype(object)
        down = np.where(codes < 0, codes, 0).sum(1).astype(object)
        high, low = up * self.high + down * self.low, up * self.low + down * self.high
        return Range(self.frac + frac, int(min(low)), int(max(high)))


def type_of_format(format: Fixed) -> str:
    """A format as hls4ml writes it, with its rounding and its saturation.

    Example:
        >>> type_of_format(Fixed(8, 4)), type_of_format(Fixed(4, 6, signed=False, rounding="floor"))
        ('fixed<8,4,RND_CONV,SAT>', 'ufixed<4,-2,TRN,SAT>')
    """
    saturation = "SAT_SYM" if format.narrow else "SAT"
    sign = "" if format.signed else "u"
    whole = format.width - format.frac
    return f"{sign}fixed<{format.width},{whole},{_ROUNDING[format.rounding]},{saturation}>"


def plain(type: str) -> str:
    """A type without its rounding and saturation, for numbers that it holds already.

    Example:
        >>> plain("fixed<8,4,RND_CONV,SAT>")
        'fixed<8,4>'
    """
    return ",".join(type.rstrip(">").split(",")[:2]) + ">"


def on_grid(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Integers and the fractional bits with which they are ``values``, as few as will do.

    Raises:
        ValueError: if the integers need more than 62 bits.

    Example:
        >>> on_grid(np.array([0.75, -2.0]))
        (array([ 3, -8]), 2)
    """
    for frac in range(_MOST_FRAC):
        scaled = np.ldexp(values, frac)
        if np.abs(scaled).max(initial=0) >= 2.0**62:
            break
        if np.array_equal(scaled, np.rint(scaled)):
            return scaled.astype(np.int64), frac
    raise ValueError("the numbers lie on no grid of 62 bits")
