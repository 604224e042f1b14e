"""From the scale of a value to that of a target: the record, with a dyadic multiplier for each channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

import torch
from torch import Tensor

from mase.ir.format import Rounding
from mase.ir.ops.exact import Code, Dyadic, Interval, Requantization, Requantize, RoundsAlike
from mase.ir.ops.exact.ties import round_alike
from mase.passes.legalize.value import Target, Value

__all__ = ["Rescaling", "is_dyadic", "is_power", "requantization"]

Roles = dict[str, tuple[Tensor, Code | None]]

_PRODUCT_BITS = 62
_SHIFT = 62
_FLOAT_BITS = 53
_FLOAT_ERROR = Fraction(2**50 + 1, 2**102)
"""Relative, of a module that multiplies an exact sum by its scale and divides it by the next one."""
_WIDE_BITS = 52
_NEIGHBOURS = [side * step for step in range(1, 9) for side in (1, -1)]


@dataclass(frozen=True)
class Rescaling:
    """How a value becomes codes of a target.

    Args:
        op: None if nothing is to be done.
        roles: the tensors of the op's roles.
        proof: whether modules round alike; None where scales are powers of two, for then they do, or where
            nobody asked.
    """

    op: Requantize | None = None
    roles: Roles = field(default_factory=Roles)
    proof: RoundsAlike | None = None


def requantization(value: Value, target: Target, *, prove: bool = True) -> Rescaling:
    """The op that makes codes of ``target``.

    Scales whose ratio is a power of two need no multiplier. Any other ratio becomes the nearest number with
    a multiplier of 31 bits, fewer where the product with a wide accumulator would leave int64. To ``prove``
    is to take one for which no accumulator is rounded otherwise than by float64, if there is one among its
    neighbours. Where a channel has none, as happens with results of 16 bits, all channels take multipliers of
    52 bits; where that is not enough either, the nearest.

    Args:
        value: what is to be requantized.
        target: the codes that are wanted.
        prove: whether the quantized graph rescales in float64, so that its rounding is to be met.
    """
    ratios = [_Ratio.of(unit, value, target) for unit in value.scaling.factors]
    chosen, wide = [ratio.short() if prove else ratio.nearest() for ratio in ratios], False
    if prove and not all(c.proved for c in chosen) and all(ratio.may_be_wide for ratio in ratios):
        longer = [ratio.long() for ratio in ratios]
        if sum(c.proved for c in longer) > sum(c.proved for c in chosen):
            chosen, wide = longer, True
    factors = [c.factor for c in chosen]
    same = all(f == Dyadic(1, 0) for f in factors) and value.zero_point == target.zero_point
    if same and value.interval.within(target.range):
        return Rescaling()
    powers = all(map(is_power, (*value.scaling.factors, target.scale)))
    doubtful = tuple(i for i, c in enumerate(chosen) if not c.proved)
    proof = RoundsAlike(channels=len(factors), doubtful=doubtful) if prove and not powers else None
    return Rescaling(*_op(factors, value, target, wide), proof)


def _op(factors: list[Dyadic], value: Value, target: Target, wide: bool) -> tuple[Requantize, Roles]:
    single = len(set(factors)) == 1
    record = Requantization(
        width=target.format.width,
        signed=target.format.signed,
        min=target.min,
        max=target.max,
        rounding=target.format.rounding,
        zero_point=target.zero_point,
        source_zero_point=value.zero_point,
        multiplier=factors[0].multiplier if single else 1,
        shift=factors[0].shift if single else 0,
        wide=wide,
    )
    if single:
        return Requantize(to=record), {}
    assert value.scaling.axis is not None
    roles = {"shift": _integers([f.shift for f in factors])}
    if any(f.multiplier != 1 for f in factors):
        roles["multiplier"] = _integers([f.multiplier for f in factors])
    return Requantize(to=record, axis=value.scaling.axis), roles


@dataclass(frozen=True)
class _Chosen:
    """A multiplier and a shift, and whether they are proved to round as modules do."""

    factor: Dyadic
    proved: bool


@dataclass(frozen=True)
class _Ratio:
    """The ratio of a value's scale to that of a target, and what multiplies instead.

    Args:
        exact: the ratio.
        unit: the value's scale.
        codes: what the value's codes, less their zero point, may be.
        limit: the largest result that is not saturated, or a larger one.
        rounding: how results are rounded.
    """

    exact: Fraction
    unit: Fraction
    codes: Interval
    limit: int
    rounding: Rounding

    @classmethod
    def of(cls, unit: Fraction, value: Value, target: Target) -> _Ratio:
        limit = max(abs(target.min - target.zero_point), abs(target.max - target.zero_point))
        codes = value.interval.shifted(value.zero_point)
        saturates = Fraction(2 ** (limit + 2).bit_length())  # whatever is not 0: more does no more
        return cls(min(unit / target.scale, saturates), unit, codes, limit, target.format.rounding)

    @property
    def may_be_wide(self) -> bool:
        """Whether products in two parts are int64."""
        return self.codes.width <= 35 and Fraction(1, 2**20) <= self.exact < 2**20

    @property
    def bits(self) -> int:
        """Of a multiplier whose products are int64."""
        return max(min(31, _PRODUCT_BITS - self.codes.width), 1)

    def nearest(self) -> _Chosen:
        """The nearest multiplier whose products are int64, of which nothing is proved."""
        return _Chosen(_within_shift(Dyadic.nearest(self.exact, self.bits)), False)

    def short(self) -> _Chosen:
        """The same, or one next to it if only that is proved."""
        nearest, bits = self.nearest().factor, self.bits
        if self._proves(nearest) or not self._alike(self.exact):
            return _Chosen(nearest, self._proves(nearest))
        step = Fraction(2) ** (nearest.multiplier.bit_length() - bits - nearest.shift)
        beside = (nearest.value + i * step for i in _NEIGHBOURS)
        others = (_within_shift(Dyadic.nearest(value, bits)) for value in beside if value > 0)
        found = next((other for other in others if self._proves(other)), None)
        return _Chosen(found or nearest, found is not None)

    def long(self) -> _Chosen:
        """The nearest multiplier of 52 bits, with as many zeros at its end as it does not need."""
        found = Dyadic.nearest(self.exact, _WIDE_BITS)
        zeros = _WIDE_BITS - found.multiplier.bit_length()
        found = Dyadic(found.multiplier << zeros, found.shift + zeros)
        return _Chosen(found, self._proves(found))

    def _proves(self, factor: Dyadic) -> bool:
        """Whether a factor rounds every code as modules do."""
        if factor.value == self.exact and is_dyadic(self.unit):
            significant = (Dyadic.nearest(f, 64).multiplier.bit_length() for f in (factor.value, self.unit))
            if self.codes.width + max(significant) <= _FLOAT_BITS:
                return True  # the module's products and quotients are exact as well
        off = abs(factor.value / self.exact - 1) + _FLOAT_ERROR
        return off * (self.limit + 2) <= 1 and self._alike(factor.value)

    def _alike(self, factor: Fraction) -> bool:
        largest = min(self.codes.magnitude, ceil((self.limit + 2) / self.exact))  # beyond, both saturate
        return round_alike(self.exact, factor, largest, _FLOAT_ERROR, self.rounding)


def is_dyadic(number: Fraction) -> bool:
    """Whether a number is an integer times a power of two."""
    return number.denominator & (number.denominator - 1) == 0


def is_power(number: Fraction) -> bool:
    """Whether a positive number is a power of two."""
    return is_dyadic(number) and number.numerator & (number.numerator - 1) == 0


def _within_shift(factor: Dyadic) -> Dyadic:
    """The same within the shifts that int64 allows: a tinier factor loses bits, which no result shows."""
    if factor.shift <= _SHIFT:
        return factor
    multiplier = max(round(Fraction(factor.multiplier, 2 ** (factor.shift - _SHIFT))), 1)
    return Dyadic(multiplier, _SHIFT)


def _integers(values: list[int]) -> tuple[Tensor, Code | None]:
    format = Code.holding(min(values), max(values))
    signed = Interval(min(values), max(values)).width
    dtype = torch.int8 if signed <= 8 else torch.int32 if signed <= 32 else torch.int64
    return torch.tensor(values, dtype=dtype), format if format.width <= 32 else None
