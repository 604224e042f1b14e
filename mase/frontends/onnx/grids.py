"""From scales, zero points and ends of codes to number formats."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from mase.frontends.onnx.value import Scaled
from mase.ir.format import Format, Rounding
from mase.ir.formats import Fixed, Integer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["activation_format", "frac_of", "recentred", "spread", "weight_format"]

_MIDDLES = (2**7, 2**15)


def frac_of(scale: float) -> int | None:
    """``F`` of a scale ``2**-F``; None for any other.

    Example:
        >>> frac_of(0.0625), frac_of(0.1)
        (4, None)
    """
    mantissa, exponent = math.frexp(scale)
    return 1 - exponent if mantissa == 0.5 else None


def _width(low: int, high: int) -> tuple[int, bool, bool] | None:
    """Width, sign and narrowness of codes between two ends; None if they are no format's."""
    if low == 0 and (high + 1).bit_count() == 1:
        return (high + 1).bit_length() - 1, False, False
    if low < 0 and (high + 1).bit_count() == 1 and low in (-high - 1, -high):
        return (high + 1).bit_length(), True, low == -high
    return None


def activation_format(grid: Scaled, rounding: Rounding = "half_even") -> Format | None:
    """The format of a value with one scale: fixed point where that is a power of two; None if it has none."""
    if grid.scale.dim() and grid.scale.numel() > 1:
        return None
    zero, found = int(grid.zero_point.reshape(-1)[0]), _width(grid.low, grid.high)
    if found is None:
        return None
    width, signed, narrow = found
    frac = frac_of(float(grid.scale.reshape(-1)[0]))
    if zero == 0 and frac is not None and abs(frac) <= 126:
        return Fixed(width, frac, signed, narrow, rounding)
    if zero == 0:
        return Integer(width, signed=signed, narrow=narrow, rounding=rounding)
    return Integer(width, signed=False, asym=True, rounding=rounding)


def weight_format(grid: Scaled, weight: Tensor) -> tuple[Format, Scaled | None] | None:
    """The format of a constant on a grid, and the grid where its scales are not those that the format finds.

    Args:
        grid: of one scale, or one for each index of a dimension.
        weight: numbers on it.

    Returns:
        None if no format has such codes.
    """
    grid = recentred(grid)
    if isinstance(fixed := activation_format(grid), Fixed):
        return fixed, None
    width = _width(grid.low, grid.high)
    if width is None:
        return None
    channel = None if grid.scale.numel() == 1 else grid.axis
    if bool(grid.zero_point.any()):
        return Integer(width[0], signed=False, asym=True, channel=channel), grid
    format = Integer(width[0], signed=width[1], narrow=width[2], channel=channel)
    dims = [d for d in range(weight.dim()) if d != channel]
    span = weight.abs().amax(dims) if dims else weight.abs()
    own = span / max(format.code_max, 1)
    close = (own.reshape(-1) - grid.scale.reshape(-1)).abs() <= 2e-7 * own.reshape(-1).abs()
    return format, None if bool(close.all()) else grid


def spread(numbers: Tensor, axis: int, rank: int) -> Tensor:
    """One number, or one for each index of a dimension, so that they broadcast over a tensor.

    Example:
        >>> import torch
        >>> spread(torch.ones(3), 1, 4).shape, spread(torch.ones(1), 1, 4).shape
        (torch.Size([1, 3, 1, 1]), torch.Size([]))
    """
    return numbers.reshape(
        [-1 if d == axis % rank else 1 for d in range(rank)] if numbers.numel() > 1 else ()
    )


def recentred(grid: Scaled) -> Scaled:
    """The same numbers by the codes that formats have: signed ones around 0, else unsigned ones."""
    if grid.low >= 0 and int(grid.zero_point.reshape(-1)[0]) in _MIDDLES and not _differ(grid.zero_point):
        return moved(grid, -int(grid.zero_point.reshape(-1)[0]))  # signed numbers, written unsigned
    return moved(grid, -grid.low) if grid.low < 0 and bool(grid.zero_point.any()) else grid


def moved(grid: Scaled, by: int) -> Scaled:
    """The same numbers by codes that are larger by as much."""
    return replace(grid, low=grid.low + by, high=grid.high + by, zero_point=grid.zero_point + by)


def _differ(numbers: Tensor) -> bool:
    return bool((numbers != numbers.reshape(-1)[0]).any())
