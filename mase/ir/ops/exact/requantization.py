"""The record of a requantization, and its meaning in Python's integers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mase.ir.format import ROUNDINGS, Rounding
from mase.ir.formats.code import Code
from mase.ir.ops.exact.interval import Interval

__all__ = ["PART_BITS", "Dyadic", "Requantization", "shift_round"]

MULTIPLIER_BITS = 31
WIDE_MULTIPLIER_BITS = 52
PART_BITS = 26
"""The bits of the lower part of a wide multiplier."""
_CARRIER = 2**63


@dataclass(frozen=True)
class Dyadic:
    """The number ``multiplier * 2**-shift``; ``multiplier`` is odd and below ``2**31``.

    Example:
        >>> Dyadic.nearest(Fraction(1, 8)), Dyadic.nearest(Fraction(3, 1))
        (Dyadic(multiplier=1, shift=3), Dyadic(multiplier=3, shift=0))
        >>> Dyadic.nearest(Fraction(1, 3))
        Dyadic(multiplier=1431655765, shift=32)
    """

    multiplier: int
    shift: int

    @classmethod
    def nearest(cls, value: Fraction, bits: int = MULTIPLIER_BITS) -> Dyadic:
        """The dyadic number nearest to a positive one, with a multiplier of at most ``bits`` bits."""
        exponent = value.numerator.bit_length() - value.denominator.bit_length()
        shift = bits - exponent
        multiplier = round(value * Fraction(2) ** shift)
        while multiplier >= 2**bits:
            shift -= 1
            multiplier = round(value * Fraction(2) ** shift)
        zeros = (multiplier & -multiplier).bit_length() - 1
        return cls(multiplier >> zeros, shift - zeros)

    @property
    def value(self) -> Fraction:
        """The number itself."""
        return self.multiplier * Fraction(2) ** -self.shift


def shift_round(value: int, shift: int, rounding: Rounding) -> int:
    """``value * 2**-shift`` as an integer.

    Example:
        >>> [shift_round(v, 1, "half_even") for v in (-3, -1, 1, 3)]
        [-2, 0, 0, 2]
        >>> [shift_round(v, 1, "half_up") for v in (-3, -1, 1, 3)]
        [-1, 0, 1, 2]
    """
    if shift <= 0:
        return value << -shift
    below, rest, half = value >> shift, value & (1 << shift) - 1, 1 << shift - 1
    if rounding == "floor":
        return below
    return below + (rest > half or (rest == half and (rounding == "half_up" or below & 1 == 1)))


@dataclass(frozen=True, kw_only=True)
class Requantization:
    """``clip(round((code - source_zero_point) * multiplier * 2**-shift) + zero_point, min, max)``.

    Args:
        width: bits of the result.
        signed: whether the result is two's complement.
        min: the smallest result; above the width's own where a ReLU is fused.
        max: the largest result.
        multiplier: positive, below ``2**31``, or ``2**52`` if ``wide``; 1 where all scales are powers of two.
        shift: how many bits to the right; negative shifts to the left, exactly.
        rounding: how the shifted product becomes an integer.
        zero_point: the code of 0 in the result.
        source_zero_point: the code of 0 in the operand.
        wide: whether the multiplier is too long for one product in 64 bits and multiplies in two parts.

    With one multiplier and shift for each channel, these two are tensors of the node and here 1 and 0.

    Example:
        >>> relu = Requantization(width=8, min=0, max=127, shift=6)
        >>> relu.apply(96), relu.apply(160), relu.apply(-500), relu.apply(99999)  # 1.5 and 2.5: ties to even
        (2, 2, 0, 127)
    """

    width: int
    signed: bool = True
    min: int
    max: int
    multiplier: int = 1
    shift: int = 0
    rounding: Rounding = "half_even"
    zero_point: int = 0
    source_zero_point: int = 0
    wide: bool = False

    def __post_init__(self) -> None:
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"expected a rounding of {', '.join(ROUNDINGS)}, found {self.rounding!r}")
        bits = WIDE_MULTIPLIER_BITS if self.wide else MULTIPLIER_BITS
        if not 0 < self.multiplier < 2**bits:
            raise ValueError(f"expected a multiplier of 1 to 2**{bits} - 1, found {self.multiplier}")
        if not -62 <= self.shift <= self.largest_shift:
            raise ValueError(f"expected a shift of -62 to {self.largest_shift}, found {self.shift}")
        if not self.range.within(Interval.of(self.format)):
            raise ValueError(f"{self.range} does not fit into {self.format}")

    @property
    def format(self) -> Code:
        """The format of the result."""
        return Code(self.width, self.signed)

    @property
    def range(self) -> Interval:
        """What results are clipped to."""
        return Interval(self.min, self.max)

    @property
    def largest_shift(self) -> int:
        """The most bits that a product is shifted to the right."""
        return 62 + (PART_BITS - 1) * self.wide

    def apply(self, code: int, multiplier: int | None = None, shift: int | None = None) -> int:
        """The result for one code: the definition that every execution is tested against.

        Args:
            code: an integer.
            multiplier: that of the code's channel, if there is one for each.
            shift: that of the code's channel, if there is one for each.
        """
        product = (code - self.source_zero_point) * (multiplier or self.multiplier)
        rounded = shift_round(product, self.shift if shift is None else shift, self.rounding)
        return min(max(rounded + self.zero_point, self.min), self.max)

    def fits(self, operand: Interval, multiplier: int, shift: int) -> bool:
        """Whether every intermediate number of codes in ``operand`` is an int64."""
        code = operand.shifted(self.source_zero_point).magnitude
        if self.wide:
            longest = max(code << PART_BITS, (code * (multiplier >> PART_BITS) + code) << 1)
            return shift > PART_BITS and longest < _CARRIER >> 1
        product = code * multiplier
        half = 1 << shift - 1 if shift > 0 else 0
        return product + half < _CARRIER
