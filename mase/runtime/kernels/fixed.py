"""Fixed point: round ``x`` to multiples of ``2**-F`` and saturate at the format's bounds.

Rounding adds and subtracts a constant so large that the sum's last bit is worth ``2**-F``: the
addition itself rounds to nearest, ties to even, as IEEE 754 defines it, and nothing is scaled, so
that nothing overflows or underflows. Saturating first is the same as saturating last, for bounds
lie on the grid, and keeps the sum inside the binade of the constant.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from mase.ir import Fixed, MaseError
from mase.runtime.kernels.base import Kernel, register_kernel

__all__ = ["FixedKernel", "bounds", "round_to"]

# significant bits and the least exponent of a subnormal's last bit
_PRECISION = {
    torch.float64: (53, -1074),
    torch.float32: (24, -149),
    torch.bfloat16: (8, -133),
    torch.float16: (11, -24),
}
# Beyond these the constant or the scale leaves the normal numbers of float32.
_F32_WIDTH, _F32_FRAC = 22, -100
_CODE_TYPES = (torch.int8, torch.uint8, torch.int16, torch.int32)


@cache
def bounds(format: Fixed, dtype: torch.dtype) -> tuple[float, float]:
    """The least and the largest value of ``format`` that ``dtype`` holds exactly.

    Args:
        format: a fixed-point format.
        dtype: a float type of torch.

    Example:
        >>> bounds(Fixed(32, 0), torch.float32)
        (-2147483648.0, 2147483520.0)
    """
    return (
        -_toward_zero(-format.code_min, format.frac, dtype),
        _toward_zero(format.code_max, format.frac, dtype),
    )


def _toward_zero(code: int, frac: int, dtype: torch.dtype) -> float:
    """The largest multiple of ``2**-frac`` in ``dtype`` that is at most ``code * 2**-frac``."""
    precision, least = _PRECISION[dtype]
    largest = Fraction(torch.finfo(dtype).max)
    value = min(Fraction(code) * Fraction(2) ** -frac, largest)
    if value == 0:
        return 0.0
    exponent = _floor_log2(value)
    step = Fraction(2) ** max(exponent - precision + 1, least, -frac)
    return float(value // step * step)


def _floor_log2(value: Fraction) -> int:
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1


def round_to(x: Tensor, frac: int) -> Tensor:
    """Round in place to the nearest multiple of ``2**-frac``, ties to even; -0 becomes +0.

    Args:
        x: float32 or float64 with ``abs(x) * 2**frac`` below ``2**22`` or ``2**51``.
        frac: the number of fractional bits.
    """
    magic = math.ldexp(1.5, _PRECISION[x.dtype][0] - 1 - frac)
    return x.add_(magic).sub_(magic)


def _quantized(x: Tensor, format: Fixed, limits: tuple[float, float]) -> Tensor:
    """``x`` on the format's grid in its own type, float32 or float64."""
    low, high = limits
    clipped = x.clamp(low, high)
    if format.rounding == "half_even":
        return round_to(clipped, format.frac)
    below = round_to(clipped.clone(), format.frac)
    below -= format.step * (below > clipped)
    if format.rounding == "half_up":
        below += format.step * (clipped - below >= format.step / 2)
    return below


def _working_type(x: Tensor, format: Fixed) -> torch.dtype:
    small = format.width <= _F32_WIDTH and format.frac >= _F32_FRAC
    return torch.float32 if small and x.dtype != torch.float64 else torch.float64


@register_kernel(Fixed)
class FixedKernel(Kernel[Fixed]):
    """``clip(round(x * 2**F), kmin, kmax) * 2**-F`` for codes of up to 32 bits."""

    def encode(self, x: Tensor, format: Fixed) -> Tensor:
        if bool(x.isnan().any()):
            raise MaseError.of(f"NaN has no code in {format}", help="find where it arises with profile")
        values = _quantized(x.double(), format, bounds(format, torch.float64))
        return values.mul_(2.0**format.frac).to(code_type(format))

    def decode(self, codes: Tensor, format: Fixed) -> Tensor:
        values = codes.double().mul_(format.step)
        exact = bounds(format, torch.float32) == (format.min, format.max)
        return values.float() if exact and format.width <= 24 + format.signed else values

    def quantize(self, x: Tensor, format: Fixed) -> Tensor:
        limits = bounds(format, x.dtype)
        return _quantized(x.to(_working_type(x, format)), format, limits).to(x.dtype)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: Fixed) -> Tensor:
        low, high = _outside(format, x.dtype)
        return torch.ops.aten.hardtanh_backward(gradient, x, low, high)


@cache
def _outside(format: Fixed, dtype: torch.dtype) -> tuple[float, float]:
    """The neighbours of the bounds outside of the range: ATen's fused kernel leaves its bounds out."""
    low, high = (torch.tensor(b, dtype=dtype) for b in bounds(format, dtype))
    far = torch.tensor(math.inf, dtype=dtype)
    return float(low.nextafter(-far)), float(high.nextafter(far))


def code_type(format: Fixed) -> torch.dtype:
    """The smallest integer type of torch with full support that holds every code."""
    for dtype in _CODE_TYPES:
        info = torch.iinfo(dtype)
        if info.min <= format.code_min and format.code_max <= info.max:
            return dtype
    return torch.int64
