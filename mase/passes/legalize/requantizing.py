"""From the scale of a value to that of a target: the record, with a dyadic multiplier for each channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

import torch
from torch import Tensor

from mase.ir.ops.exact import Code, Dyadic, Interval, Requantization, Requantize, RoundsAlike
from mase.ir.ops.exact.ties import round_alike
from mase.passes.legalize.value import Target, Value

__all__ = ["Rescaling", "is_dyadic", "is_power", "requantization"]

Roles = dict[str, tuple[Tensor, Code | None]]

_PRODUCT_BITS = 62
_SHIFT = 62
_FLOAT_BITS = 53
_FLOAT_ERROR = Fraction(1, 2**50)
"""Relative, of a module that multiplies an exact sum by its scale and divides it by the next one."""
_NEIGHBOURS = [side * step for step in range(1, 17) for side in (1, -1)]


@dataclass(frozen=True)
class Rescaling:
    """How a value becomes codes of a target.

    Args:
        op: None if nothing is to be done.
        roles: the tensors of the op's roles.
        proof: whether modules round alike; None where scales are powers of two, for then they do.
    """

    op: Requantize | None = None
    roles: Roles = field(default_factory=Roles)
    proof: RoundsAlike | None = None


def requantization(value: Value, target: Target) -> Rescaling:
    """The op that makes codes of ``target``.

    Scales whose ratio is a power of two need no multiplier. Any other ratio becomes a number with a
    multiplier of 31 bits, fewer where the product with a wide accumulator would leave int64: the nearest
    one for which no accumulator is rounded otherwise than by float64; the nearest of all if there is none.

    Args:
        value: what is to be requantized.
        target: the codes that are wanted.
    """
    found = [_multiplier(unit, value, target) for unit in value.scaling.factors]
    factors = [factor for factor, _ in found]
    same = all(f == Dyadic(1, 0) for f in factors) and value.zero_point == target.zero_point
    if same and value.interval.within(target.range):
        return Rescaling()
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
    )
    doubtful = tuple(i for i, (_, proved) in enumerate(found) if not proved)
    powers = all(map(is_power, (*value.scaling.factors, target.scale)))
    proof = None if powers else RoundsAlike(channels=len(factors), doubtful=doubtful)
    if single:
        return Rescaling(Requantize(to=record), proof=proof)
    assert value.scaling.axis is not None
    roles = {"shift": _integers([f.shift for f in factors])}
    if any(f.multiplier != 1 for f in factors):
        roles["multiplier"] = _integers([f.multiplier for f in factors])
    return Rescaling(Requantize(to=record, axis=value.scaling.axis), roles, proof)


def _multiplier(unit: Fraction, value: Value, target: Target) -> tuple[Dyadic, bool]:
    """The number that stands for the ratio of two scales, and whether it rounds as modules do."""
    centred, ratio = value.interval.shifted(value.zero_point), unit / target.scale
    bits = max(min(31, _PRODUCT_BITS - centred.width), 1)
    nearest = _within_shift(Dyadic.nearest(ratio, bits))
    if nearest.value == ratio and is_dyadic(unit):
        significant = max(nearest.multiplier.bit_length(), Dyadic.nearest(unit, 64).multiplier.bit_length())
        if centred.width + significant <= _FLOAT_BITS:
            return nearest, True  # the module's products and quotients are exact as well
    limit = max(abs(target.min - target.zero_point), abs(target.max - target.zero_point))
    largest = min(centred.magnitude, ceil((limit + 2) / ratio))  # beyond, both saturate

    def proved(factor: Dyadic, error: Fraction = _FLOAT_ERROR) -> bool:
        off = abs(factor.value / ratio - 1) + error
        alike = round_alike(ratio, factor.value, largest, error, target.format.rounding)
        return alike and off * (limit + 2) <= 1

    if proved(nearest):
        return nearest, True
    if round_alike(ratio, ratio, largest, _FLOAT_ERROR, target.format.rounding):
        scale = bits - nearest.multiplier.bit_length() + nearest.shift
        for step in _NEIGHBOURS:
            other = _within_shift(Dyadic.nearest(nearest.value + step * Fraction(2) ** -scale, bits))
            if proved(other):
                return other, True
    return nearest, False


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
    dtype = torch.int8 if signed <= 8 else torch.int32
    return torch.tensor(values, dtype=dtype), format if format.width <= 32 else None
