"""Powers of two: the nearest exponent. A tie would need an irrational ``x``, so there is none."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mase.ir.formats import Log
from mase.runtime.kernels.base import Kernel, register_kernel
from mase.runtime.kernels.bits import code_type, floor_log2, gradient_between, power_of_two, refuse_nan

__all__ = ["LogKernel"]

# exponents that a float type holds, subnormals included
_EXPONENTS = {
    torch.float64: (-1022, 1023),
    torch.float32: (-149, 127),
    torch.bfloat16: (-133, 127),
    torch.float16: (-24, 15),
}


def _exponents(x: Tensor, format: Log, low: int, high: int) -> Tensor:
    """The exponents that float64 numbers round to, in ``[low, high]``."""
    magnitude = x.abs().clamp(2.0**low, 2.0**high)
    below = floor_log2(magnitude)
    fraction = magnitude * power_of_two(-below)
    if format.rounding == "floor":  # the next number below, which for negative ones has the larger exponent
        return below + ((fraction > 1) & (x < 0)).to(below.dtype)
    # The square root of 2 as a double lies just above the true one, so no double lies between them.
    return below + (fraction >= math.sqrt(2)).to(below.dtype)


@register_kernel(Log)
class LogKernel(Kernel[Log]):
    """Codes are a sign bit and the exponent field; zero, of either sign, is the smallest positive number."""

    def encode(self, x: Tensor, format: Log) -> Tensor:
        refuse_nan(x, format)
        x = x.double()
        codes = _exponents(x, format, format.min_exponent, format.max_exponent) - format.min_exponent
        codes += (x < 0).to(codes.dtype) << (format.width - 1)
        return codes.to(code_type(0, 2**format.width - 1))

    def decode(self, codes: Tensor, format: Log) -> Tensor:
        codes = codes.long() & (2**format.width - 1)
        field = codes & (2 ** (format.width - 1) - 1)
        values = power_of_two(field + format.min_exponent)
        values = torch.where(field == codes, values, -values)
        return values.float() if format.min_exponent >= -149 and format.max_exponent <= 127 else values

    def quantize(self, x: Tensor, format: Log) -> Tensor:
        low, high = _EXPONENTS[x.dtype]
        # A format whose numbers all lie beyond those of the type ends at the type's nearest.
        low = min(max(low, format.min_exponent), high)
        high = max(min(high, format.max_exponent), low)
        wide = x.double()
        values = power_of_two(_exponents(wide.nan_to_num(0.0, math.inf, -math.inf), format, low, high))
        values = torch.where(wide < 0, -values, values)
        return values.masked_fill_(wide.isnan(), torch.nan).to(x.dtype)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: Log) -> Tensor:
        return gradient_between(gradient, x, format.min, format.max)
