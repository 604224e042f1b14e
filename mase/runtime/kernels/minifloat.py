"""Small floats: round ``x`` to as many bits as its binade has, and saturate.

As for fixed point, adding and subtracting a constant rounds to nearest, ties to even; here
each value has its own constant, ``1.5 * 2**(p-1)`` times the step of its binade, made from its bits.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from mase.ir.formats import Denorm, Minifloat
from mase.runtime.kernels.base import Kernel, register_kernel
from mase.runtime.kernels.bits import (
    code_type,
    floor_log2,
    gradient_between,
    power_of_two,
    refuse_nan,
)

__all__ = ["MinifloatKernel", "round_minifloat"]

# integer type of the same size, stored fraction bits, bias
_LAYOUT = {torch.float32: (torch.int32, 23, 127), torch.float64: (torch.int64, 52, 1023)}


@cache
def _limit(format: Minifloat, dtype: torch.dtype) -> float:
    """The largest number of ``format`` that ``dtype`` holds."""
    info = torch.finfo(dtype)
    largest = min(format.max, info.max)
    step = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    step *= max(2.0**-format.fraction_bits, info.eps)
    return math.floor(largest / step) * step


@cache
def _fits_f32(format: Minifloat) -> bool:
    """Whether float32 has room for the constants."""
    exponent = math.frexp(min(format.max, torch.finfo(torch.float32).max))[1] - 1
    room = exponent + 23 - format.fraction_bits <= 127
    return room and format.fraction_bits <= 21 and format.min_exponent >= -126


def round_minifloat(x: Tensor, format: Minifloat, limit: float) -> Tensor:
    """``x`` saturated at ``±limit`` and on the format's grid; the sign of zero is kept.

    Args:
        x: float32 or float64 tensor.
        format: gives the grid and the rounding.
        limit: the largest magnitude.
    """
    integer, stored, bias = _LAYOUT[x.dtype]
    clipped = x.clamp(-limit, limit)
    exponent_mask = (2 * bias + 1) << stored
    binade = (clipped.view(integer) & exponent_mask).clamp_min_((format.min_exponent + bias) << stored)
    binade += (stored - format.fraction_bits) << stored
    magic = (binade | (1 << (stored - 1))).view(x.dtype)
    rounded = (clipped + magic).sub_(magic)
    if format.rounding != "half_even":
        step = binade.view(x.dtype) * 2.0**-stored
        rounded -= step * (rounded > clipped)
        if format.rounding == "half_up":
            rounded += step * (clipped - rounded >= step / 2)
    return rounded.copysign_(clipped)


@register_kernel(Minifloat)
class MinifloatKernel(Kernel[Minifloat]):
    """Codes are bit patterns: sign, exponent field, fraction."""

    def encode(self, x: Tensor, format: Minifloat) -> Tensor:
        nan = format.special_codes[1]
        if nan is None:
            refuse_nan(x, format)
        values = round_minifloat(x.double(), format, format.max)
        magnitude = values.abs()
        exponent = (
            floor_log2(magnitude)
            .clamp_min_(format.min_exponent)
            .masked_fill_(magnitude == 0, format.min_exponent)
        )
        significand = (magnitude * power_of_two(format.fraction_bits - exponent)).nan_to_num_(0.0).long()
        codes = _packed(exponent.long() - format.min_exponent, significand, format)
        codes += values.signbit().long() << (format.bits - 1)
        if nan is not None:
            codes = codes.masked_fill_(x.isnan(), (1 << (format.bits - 1)) - 1)
        return codes.to(code_type(0, 2**format.bits - 1))

    def decode(self, codes: Tensor, format: Minifloat) -> Tensor:
        codes = codes.long() & (2**format.bits - 1)
        magnitude = codes & (2 ** (format.bits - 1) - 1)
        field, significand = _unpacked(magnitude, format)
        values = significand.double() * power_of_two(field + (format.min_exponent - format.fraction_bits))
        infinity, nan = format.special_codes
        if infinity is not None:
            values.masked_fill_(magnitude == infinity, torch.inf)
        if nan is not None:
            values.masked_fill_(magnitude >= nan, torch.nan)
        values = torch.where(codes == magnitude, values, -values)
        narrow = format.max <= torch.finfo(torch.float32).max and format.smallest >= 2.0**-149
        return values.float() if narrow else values

    def quantize(self, x: Tensor, format: Minifloat) -> Tensor:
        narrow = x.dtype != torch.float64 and _fits_f32(format)
        work = x.to(torch.float32 if narrow else torch.float64)
        return round_minifloat(work, format, _limit(format, x.dtype)).to(x.dtype)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: Minifloat) -> Tensor:
        limit = _limit(format, x.dtype)
        return gradient_between(gradient, x, -limit, limit)


def _packed(field: Tensor, significand: Tensor, format: Minifloat) -> Tensor:
    """The code of a magnitude from its binade, counted from the least, and its bits with the leading one."""
    if isinstance(format, Denorm):
        return (field << format.mantissa) + significand
    return (field << format.fraction_bits) + significand  # the leading one carries into the field


def _unpacked(magnitude: Tensor, format: Minifloat) -> tuple[Tensor, Tensor]:
    if isinstance(format, Denorm):
        return magnitude >> format.mantissa, magnitude & (2**format.mantissa - 1)
    field = magnitude >> format.fraction_bits
    fraction = magnitude & (2**format.fraction_bits - 1)
    leading = (field > 0).long()
    return field - leading, fraction + (leading << format.fraction_bits)
