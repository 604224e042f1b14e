"""Two scales brought to one: the factors of a sum of codes whose scales no power of two relates."""

from __future__ import annotations

import math
from fractions import Fraction

from mase.ir.formats import Fixed, Integer

__all__ = ["ANGLE_BITS", "align", "code_width"]

ANGLE_BITS = 20
"""Of aligned cosines and sines, which are multiplied by features."""
_BITS = 31


def align(a: Fraction, b: Fraction, width: int, bits: int = _BITS) -> tuple[Fraction, tuple[int, int]]:
    """One scale, and the integers that bring codes of two scales to it.

    Scales whose ratio is a power of two are aligned exactly. Of any others, the finer is approximated, by so
    many bits that aligned codes have ``bits``.

    Args:
        a: the scale of the first.
        b: the scale of the second.
        width: bits of a code less its zero point.
        bits: those of an aligned code.

    Example:
        >>> align(Fraction(1, 2), Fraction(1, 8), 8)
        (Fraction(1, 8), (4, 1))
        >>> align(Fraction(1), Fraction(1, 3), 8)
        (Fraction(1, 8388608), (8388608, 2796203))
    """
    ratio = a / b
    mantissa, exponent = math.frexp(float(ratio))
    if mantissa == 0.5 and ratio == Fraction(2) ** (exponent - 1):
        return min(a, b), (2 ** max(exponent - 1, 0), 2 ** max(1 - exponent, 0))
    scale = max(a, b) / 2 ** max(bits - width, 8)
    return scale, (max(round(a / scale), 1), max(round(b / scale), 1))


def code_width(*formats: Fixed | Integer) -> int:
    """Bits that hold the codes of each format less their zero point."""
    asym = [isinstance(f, Integer) and f.asym for f in formats]
    return max(f.width + (1 if a or not f.signed else 0) for f, a in zip(formats, asym, strict=True))
