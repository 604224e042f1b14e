"""From a grid to a format, and shifts to either side."""

from __future__ import annotations

from torch import Tensor

from mase.ir import Fixed
from mase.ir.format import Rounding
from mase.runtime.exact.requantize import shift_round

__all__ = ["shifted", "to_format"]


def shifted(codes: Tensor, bits: int, rounding: Rounding = "half_even") -> Tensor:
    """``codes * 2**-bits`` as integers.

    Args:
        codes: int64, so far from the largest that half of ``2**bits`` can be added.
        bits: how far to the right; below zero it is to the left, which must not overflow.
        rounding: what becomes of the bits that are shifted out.

    Example:
        >>> import torch
        >>> shifted(torch.tensor([-3, 2, 6]), 2).tolist(), shifted(torch.tensor([-3, 2]), -2).tolist()
        ([-1, 0, 2], [-12, 8])
    """
    return shift_round(codes, bits, rounding) if bits > 0 else codes << -bits


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
    return shifted(codes, -left, format.rounding).clamp(format.code_min, format.code_max)
