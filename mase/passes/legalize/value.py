"""What legalization knows of a value: its node, the exact scale of its codes, what they may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

from mase.ir.formats import Fixed, Integer
from mase.ir.graph import Node
from mase.ir.ops.exact import Code, Interval

__all__ = ["FIT", "Scaling", "Target", "Value"]

FIT = 1
"""The ``width`` of an op that `Legalizer.emit` is to widen to what its interval needs."""


@dataclass(frozen=True)
class Scaling:
    """The scale of codes as exact rationals: one, or one for each index of ``axis``.

    Example:
        >>> Scaling.power(-3).times(Scaling((Fraction(1, 2), Fraction(3)), axis=1)).factors
        (Fraction(1, 16), Fraction(3, 8))
    """

    factors: tuple[Fraction, ...]
    axis: int | None = None

    @classmethod
    def of(cls, scale: Fraction) -> Scaling:
        """One scale for the tensor."""
        return cls((scale,))

    @classmethod
    def power(cls, exponent: int) -> Scaling:
        """``2**exponent`` for the tensor."""
        return cls.of(Fraction(2) ** exponent)

    def mapped(self, function: Callable[[Fraction], Fraction]) -> Scaling:
        """Each scale changed in the same way; one serves where all become equal."""
        made = tuple(function(f) for f in self.factors)
        return Scaling(made[:1]) if len(set(made)) == 1 else replace(self, factors=made)

    def times(self, other: Scaling) -> Scaling:
        """The scale of products; at most one of the two has channels."""
        if other.axis is not None:
            return other.times(self)
        return self.mapped(lambda f: f * other.factors[0])

    def along(self, axis: int) -> Scaling:
        """The same with its channels, if it has some, along another dimension."""
        return self if self.axis is None else replace(self, axis=axis)

    @property
    def single(self) -> Fraction | None:
        """The scale of the tensor; None if there is one for each channel."""
        return self.factors[0] if self.axis is None else None

    @property
    def frac(self) -> int | None:
        """The fractional bits where the scale is a power of two for the tensor."""
        scale = self.single
        if scale is None or 1 not in (scale.numerator, scale.denominator):
            return None
        size = max(scale.numerator, scale.denominator)
        if size & (size - 1):
            return None
        return scale.denominator.bit_length() - scale.numerator.bit_length()


@dataclass(frozen=True)
class Value:
    """An integer value in the new graph.

    Args:
        node: the node that computes it.
        scaling: ``scale * (code - zero_point)`` is what a code means.
        zero_point: the code of 0.
        interval: what codes may be, proved.
    """

    node: Node
    scaling: Scaling
    zero_point: int
    interval: Interval


@dataclass(frozen=True)
class Target:
    """Codes of what an operand's quantizer gives.

    Args:
        format: ``fixed<W,F>``, or ``int<W>`` with a static scale.
        scale: the scale of codes.
        zero_point: the code of 0.
        min: the smallest code.
        max: the largest code.
        keys: where the state has the scale and the zero point of an ``int<W>``, by role.
    """

    format: Fixed | Integer
    scale: Fraction
    zero_point: int
    min: int
    max: int
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def code(self) -> Code:
        """The type of the codes."""
        return Code(self.format.width, self.format.signed)

    @property
    def range(self) -> Interval:
        """What codes are clipped to."""
        return Interval(self.min, self.max)

    def clipped(self, low: Fraction | None = None, high: Fraction | None = None) -> Target:
        """The same with real numbers below ``low`` and above ``high`` saturated, at the codes of these."""
        least, most = self.min, self.max
        if low is not None:
            least = min(max(least, self._rounded(low) + self.zero_point), most)
        if high is not None:
            most = max(min(most, self._rounded(high) + self.zero_point), least)
        return replace(self, min=least, max=most)

    def _rounded(self, number: Fraction) -> int:
        """A number in units of the scale, as the format rounds it."""
        units = number / self.scale
        if self.format.rounding == "half_even":
            return round(units)
        return floor(units + Fraction(1, 2) if self.format.rounding == "half_up" else units)
