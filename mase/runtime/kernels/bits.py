"""Exact arithmetic on the parts of floats: exponents, powers of two, rounding to whole numbers."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from mase.ir import Format, MaseError
from mase.ir.format import Rounding

__all__ = [
    "code_type",
    "finite",
    "floor_log2",
    "gradient_between",
    "power_of_two",
    "refuse_nan",
    "round_units",
    "saturated",
]

_CODE_TYPES = (torch.uint8, torch.int8, torch.int16, torch.int32)


def floor_log2(x: Tensor) -> Tensor:
    """``floor(log2(abs(x)))`` from the bits of ``x``, int32; -1 for 0.

    Example:
        >>> floor_log2(torch.tensor([8.0, 7.999, -0.25]))
        tensor([ 3,  2, -2], dtype=torch.int32)
    """
    return torch.frexp(x).exponent - 1


def power_of_two(exponent: Tensor) -> Tensor:
    """``2**exponent`` in float64, exactly, for exponents of -1022 to 1023.

    Example:
        >>> power_of_two(torch.tensor([3, -1])).tolist()
        [8.0, 0.5]
    """
    return ((exponent.long() + 1023) << 52).view(torch.float64)


def round_units(x: Tensor, rounding: Rounding) -> Tensor:
    """Round to whole numbers in place.

    Args:
        x: float tensor; infinities and NaN stay.
        rounding: how.

    Example:
        >>> [round_units(torch.tensor([0.5, -1.5]), r).tolist() for r in ("half_even", "half_up", "floor")]
        [[0.0, -2.0], [1.0, -1.0], [0.0, -2.0]]
    """
    if rounding == "half_even":
        return x.round_()
    if rounding == "floor":
        return x.floor_()
    below = x.floor()
    return below.add_(x.sub_(below) >= 0.5)  # adding 0.5 first would round numbers just below a tie


def finite(x: Tensor) -> Tensor:
    """``x`` with 0 in place of infinities and NaN, which no scale is taken from."""
    return x.nan_to_num(0.0, 0.0, 0.0)


def saturated(values: Tensor, dtype: torch.dtype) -> Tensor:
    """``values`` in another float type, saturating at its largest finite number."""
    limit = torch.finfo(dtype).max
    if limit < torch.finfo(values.dtype).max:
        values = values.clamp(-limit, limit)
    return values.to(dtype)


def code_type(low: int, high: int) -> torch.dtype:
    """The smallest integer type of torch with full support that holds ``low`` to ``high``."""
    for dtype in _CODE_TYPES:
        info = torch.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return dtype
    return torch.int64


def refuse_nan(x: Tensor, format: Format) -> None:
    """Stop where a format without a code for NaN is to encode one.

    Raises:
        MaseError: if ``x`` holds NaN.
    """
    if bool(x.isnan().any()):
        raise MaseError.of(f"NaN has no code in {format}", help="find where it arises with profile")


def gradient_between(gradient: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """``gradient`` where ``x`` lies in ``[low, high]``, 0 elsewhere; infinities lie outside.

    Args:
        gradient: shaped as ``x``.
        x: float tensor.
        low: the lower bound, which ``-inf`` opens to every finite number.
        high: the upper bound.
    """
    return torch.ops.aten.hardtanh_backward(gradient, x, *_outside(low, high, x.dtype))


@cache
def _outside(low: float, high: float, dtype: torch.dtype) -> tuple[float, float]:
    """The neighbours of the bounds outside of the range: ATen's fused kernel leaves its bounds out."""
    largest = torch.finfo(dtype).max
    far = torch.tensor(math.inf, dtype=dtype)
    ends = (torch.tensor(min(max(b, -largest), largest), dtype=dtype) for b in (low, high))
    below, above = (end.nextafter(sign * far) for end, sign in zip(ends, (-1, 1), strict=True))
    return float(below), float(above)
