"""Which float type computes an op exactly: bounds of fixed-point numbers, in units of their last bit.

A float with ``p`` significant bits holds every integer up to ``2**p``, and so every sum of products
of fixed-point numbers whose absolute values sum to no more than that, in whatever order it is summed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from mase.ir import Fixed, Format, MaseError
from mase.runtime.kernels.ste import round_straight

__all__ = ["Grid", "align_bias", "exact_type", "require_exact", "trusted"]

_BITS = {torch.float32: (24, 126), torch.float64: (53, 1000)}


@dataclass(frozen=True)
class Grid:
    """Multiples ``k`` of ``2**-frac`` with ``abs(k) <= bound``.

    Example:
        >>> a, b = Grid.of(Fixed(8, 4)), Grid.of(Fixed(8, 6))
        >>> a.times(b).sum_of(100), a.plus(b)
        (Grid(frac=10, bound=1638400), Grid(frac=6, bound=640))
    """

    frac: int
    bound: int

    @classmethod
    def of(cls, format: Format | None) -> Grid | None:
        """The grid of a fixed-point format, None for any other."""
        if not isinstance(format, Fixed):
            return None
        return cls(format.frac, max(-format.code_min, format.code_max))

    def times(self, other: Grid) -> Grid:
        """The grid of products."""
        return Grid(self.frac + other.frac, self.bound * other.bound)

    def plus(self, other: Grid) -> Grid:
        """The grid of sums."""
        frac = max(self.frac, other.frac)
        return Grid(frac, sum(g.bound << (frac - g.frac) for g in (self, other)))

    def sum_of(self, terms: int) -> Grid:
        """The grid of sums of ``terms`` numbers."""
        return Grid(self.frac, self.bound * terms)

    def rounded(self, frac: int) -> Grid:
        """The grid after rounding to at most ``frac`` fractional bits."""
        shift = max(self.frac - frac, 0)
        return Grid(self.frac - shift, -(-self.bound >> shift)) if shift else self

    def fits(self, dtype: torch.dtype) -> bool:
        """Whether ``dtype`` holds every number of the grid exactly."""
        bits, exponents = _BITS[dtype]
        return (
            self.bound <= 2**bits
            and self.frac <= exponents
            and self.bound.bit_length() - self.frac <= exponents
        )


def exact_type(*grids: Grid) -> torch.dtype | None:
    """The narrowest of float32 and float64 that holds all grids; None if neither does."""
    for dtype in _BITS:
        if all(g.fits(dtype) for g in grids):
            return dtype
    return None


def trusted(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """``dtype``, or float64 where ``device`` may multiply float32 matrices in a faster but rougher way.

    GPUs convolve by transforms whose intermediate numbers are no integers, and may round operands to
    TF32; a CPU rounds them to bfloat16 if `torch.set_float32_matmul_precision` allows it.
    """
    backends = cast(Any, torch.backends)
    settings = {backends.fp32_precision, backends.mkldnn.conv.fp32_precision}
    plain = torch.get_float32_matmul_precision() == "highest" and settings <= {"none", "ieee"}
    return dtype if plain and device.type in ("cpu", "meta") else torch.float64


def require_exact(what: str, *grids: Grid) -> torch.dtype:
    """`exact_type`, which there must be.

    Raises:
        MaseError: if even float64 cannot hold a result.
    """
    dtype = exact_type(*grids)
    if dtype is None:
        bits = max(g.bound for g in grids).bit_length() + 1
        raise MaseError.of(
            f"{what} accumulates {bits} bits, which no float type computes exactly",
            help="choose narrower formats: float64 holds 53 bits",
        )
    return dtype


def align_bias(bias: Tensor, x: Grid | None, weight: Grid | None, own: Grid | None) -> Tensor:
    """Round a quantized bias to the fractional bits of the products, where it has more of them.

    Args:
        bias: the values, on the grid ``own``.
        x: the grid of the input.
        weight: the grid of the weight.
        own: the grid of the bias; the bias stays as it is if any of the grids is None.
    """
    if x is None or weight is None or own is None or own.frac <= x.frac + weight.frac:
        return bias
    return round_straight(bias, x.frac + weight.frac)
