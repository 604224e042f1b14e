"""From the scale of a value to that of a target: the record, with a dyadic multiplier for each channel."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from mase.ir.ops.exact import Code, Dyadic, Interval, Requantization, Requantize
from mase.passes.legalize.value import Target, Value

__all__ = ["requantization"]

Roles = dict[str, tuple[Tensor, Code | None]]

_PRODUCT_BITS = 62
_SHIFT = 62


def requantization(value: Value, target: Target) -> tuple[Requantize | None, Roles]:
    """The op that makes codes of ``target``, with the tensors of its roles; None if nothing is to be done.

    Scales whose ratio is a power of two need no multiplier. Any other ratio becomes the nearest number with a
    multiplier of 31 bits, fewer where the product with a wide accumulator would leave int64.

    Args:
        value: what is to be requantized.
        target: the codes that are wanted.
    """
    centred = value.interval.shifted(value.zero_point)
    bits = max(min(31, _PRODUCT_BITS - centred.width), 1)
    factors = [_within_shift(Dyadic.nearest(f / target.scale, bits)) for f in value.scaling.factors]
    same = all(f == Dyadic(1, 0) for f in factors) and value.zero_point == target.zero_point
    if same and value.interval.within(target.range):
        return None, {}
    record = Requantization(
        width=target.format.width,
        signed=target.format.signed,
        min=target.min,
        max=target.max,
        rounding=target.format.rounding,
        zero_point=target.zero_point,
        source_zero_point=value.zero_point,
        multiplier=factors[0].multiplier if len(set(factors)) == 1 else 1,
        shift=factors[0].shift if len(set(factors)) == 1 else 0,
    )
    if len(set(factors)) == 1:
        return Requantize(to=record), {}
    assert value.scaling.axis is not None
    roles = {"shift": _integers([f.shift for f in factors])}
    if any(f.multiplier != 1 for f in factors):
        roles["multiplier"] = _integers([f.multiplier for f in factors])
    return Requantize(to=record, axis=value.scaling.axis), roles


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
