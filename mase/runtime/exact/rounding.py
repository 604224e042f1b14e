"""Shifts that round, and saturation."""

from __future__ import annotations

from torch import Tensor

from mase.ir import Fixed
from mase.ir.format import Rounding

__all__ = ["saturated", "shifted", "to_format"]


def shifted(codes: Tensor, bits: int, rounding: Rounding = "half_even") -> Tensor:
    """``codes * 2**-bits`` as integers.

    Args:
        codes: int64, so far from the largest that half of ``2**bits`` can be added.
        bits: how far to the right; below zero it is to the left, which must not overflow.
        rounding: to nearest with ties to even, to nearest with ties up, or down.

    Example:
        >>> import torch
        >>> x = torch.tensor([-3, -2, 1, 2, 3, 6])
        >>> shifted(x, 2).tolist(), shifted(x, 2, "half_up").tolist(), shifted(x, 2, "floor").tolist()
        ([-1, 0, 0, 0, 1, 2], [-1, 0, 0, 1, 1, 2], [-1, -1, 0, 0, 0, 1])
    """
    if bits <= 0:
        return codes << -bits if bits else codes
    if rounding == "floor":
        return codes >> bits
    # What is added is half, or one less where the code below is even.
    half = 1 << (bits - 1)
    return (codes + (half if rounding == "half_up" else half - 1 + ((codes >> bits) & 1))) >> bits


def saturated(codes: Tensor, format: Fixed) -> Tensor:
    """Codes within the range of a format."""
    return codes.clamp(format.code_min, format.code_max)


def to_format(codes: Tensor, frac: int, format: Fixed) -> Tensor:
    """The codes in ``format`` of numbers ``codes * 2**-frac``, rounded as it says and saturated.

    Example:
        >>> import torch
        >>> to_format(torch.tensor([24, 40, 9999]), 4, Fixed(8, 0)).tolist()
        [2, 2, 127]
    """
    left = format.frac - frac
    if left > 0:  # a left shift overflows no more once the codes are in range
        largest = max(-format.code_min, format.code_max)
        codes = codes.clamp(-(largest >> left) - 1, (largest >> left) + 1)
    return saturated(shifted(codes, -left, format.rounding), format)
