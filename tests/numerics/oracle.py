"""Fixed point by rational arithmetic: slow, obvious, and sharing nothing with the kernels."""

import math
from fractions import Fraction

from mase.ir import Fixed


def code_of(x: float, format: Fixed) -> int:
    """The code of ``x`` by the definition in numbers: scale, round, clip."""
    if math.isinf(x):
        return format.code_max if x > 0 else format.code_min
    scaled = Fraction(x) * Fraction(2) ** format.frac
    return max(format.code_min, min(format.code_max, rounded(scaled, format.rounding)))


def rounded(value: Fraction, rounding: str) -> int:
    if rounding == "floor":
        return math.floor(value)
    if rounding == "half_up":
        return math.floor(value + Fraction(1, 2))
    return round(value)  # Python rounds fractions half to even


def value_of(code: int, format: Fixed) -> Fraction:
    return code * Fraction(2) ** -format.frac
