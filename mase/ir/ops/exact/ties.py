"""Where two factors round alike: whether a tie lies between the products of any integer with both.

A graph whose scales are no powers of two is trained with a ratio of scales in floats and shipped with a
multiplier and a shift. Both give the same integers unless, for some accumulator ``a``, the rounding changes
between the one product and the other: at a tie ``k + 1/2``, which a factor ``(2k+1) / 2a`` meets. So what is
to be known is whether a fraction of a small and even denominator lies between the two factors. The tree of
fractions says it, exactly, without a look at any accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from mase.ir.format import Rounding

__all__ = ["fractions_between", "round_alike"]


def round_alike(ratio: Fraction, other: Fraction, largest: int, error: Fraction, rounding: Rounding) -> bool:
    """Whether ``a * ratio``, in floats, and ``a * other``, exactly, round to one integer for every ``a``.

    Args:
        ratio: a positive factor.
        other: another.
        largest: the integers are those from ``-largest`` to ``largest``.
        error: the relative error of floats, below 1.
        rounding: how. Under ``floor`` the rounding changes at integers.

    Example:
        >>> third = Fraction(1431655765, 2**32)
        >>> round_alike(Fraction(1, 3), third, 10**6, Fraction(0), "half_even")
        True
        >>> round_alike(Fraction(1, 2), Fraction(1, 2) + Fraction(1, 2**31), 9, Fraction(0), "half_even")
        False
    """
    if ratio == other and not error:
        return True
    ends = ratio * (1 - error), ratio * (1 + error), other
    if rounding == "floor":
        return not any(True for _ in fractions_between(min(ends), max(ends), largest))
    ties = (f for f in fractions_between(min(ends), max(ends), 2 * largest) if f.denominator % 2 == 0)
    return not any(True for _ in ties)


def fractions_between(low: Fraction, high: Fraction, largest: int) -> Iterator[Fraction]:
    """The fractions from ``low`` to ``high`` whose denominators are at most ``largest``, the simplest first.

    Example:
        >>> [str(f) for f in fractions_between(Fraction(1, 4), Fraction(2, 5), 5)]
        ['1/3', '1/4', '2/5']
    """
    if low > high or (found := _simplest(low, high)).denominator > largest:
        return
    yield found
    gap = Fraction(1, found.denominator * largest)  # no nearer is any other
    yield from fractions_between(low, found - gap, largest)
    yield from fractions_between(found + gap, high, largest)


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the least denominator from ``low`` to ``high``, which are not negative."""
    whole = -(-low.numerator // low.denominator)
    if whole <= high:
        return Fraction(whole)
    whole -= 1
    return whole + 1 / _simplest(1 / (high - whole), 1 / (low - whole))
