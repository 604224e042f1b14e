"""Softmax of integers: powers of two from a table, one reciprocal for each row."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from mase.ir import Fixed, MaseError
from mase.runtime.exact.roots import reciprocal
from mase.runtime.exact.rounding import saturated, shifted

__all__ = ["Softmax", "power_table", "softmax"]

_POWER_BITS = 30
_RECIPROCAL_BITS = 62
_MULTIPLIER_BITS = 31
_SHIFTED_BITS = 56  # so that a difference of scores times the multiplier stays below 2**62


@dataclass(frozen=True)
class Softmax:
    """What `softmax` needs to know; `Softmax.of` chooses it.

    Args:
        multiplier: turns differences of scores into octaves of ``2**-fraction``, times ``2**shift``.
        shift: at least 1.
        fraction: fractional bits of an octave, which address the table of powers.
        limit: the largest difference that matters; weights further below the largest are zero.
        out: the format of the weights.
    """

    multiplier: int
    shift: int
    fraction: int
    limit: int
    out: Fixed

    @classmethod
    def of(cls, step: float, out: Fixed, fraction: int | None = None) -> Softmax:
        """The parameters for scores of ``code * step``.

        Args:
            step: what one unit of a score's code is worth, any scale of the scores included.
            out: the format of the weights, such as ``ufixed<8,8>``.
            fraction: fractional bits of an octave; 2 more than the weights have unless given, at
                least 8 and at most 16.

        Raises:
            MaseError: if ``step`` is not positive, or too small or large for 64-bit integers.

        Example:
            >>> p = Softmax.of(2.0**-4, Fixed(8, 8, signed=False))
            >>> p.fraction, round(p.multiplier * 2.0**-p.shift, 6)  # 2**10 * 2**-4 / ln(2)
            (10, 92.332483)
        """
        bits = min(max(out.frac + 2, 8), 16) if fraction is None else fraction
        # A difference beyond the last bit of the powers, in fractions of octaves.
        top = (_POWER_BITS + 1) << bits
        ratio = (Fraction(step) * _log2_e() * 2**bits) if 0 < step < float("inf") else Fraction(0)
        if ratio:
            exact = _MULTIPLIER_BITS - (ratio.numerator.bit_length() - ratio.denominator.bit_length())
            shift = min(exact - 1, _SHIFTED_BITS - bits)
            multiplier = round(ratio * 2**shift) if shift > 0 else 0
            if multiplier >= 2 ** (bits + 10):  # then its own rounding hardly counts
                limit = -((-top << shift) // multiplier)
                return cls(multiplier, shift, bits, limit, out)
        raise MaseError.of(
            f"softmax of scores with a step of {step:g} leaves the range of 64-bit integers",
            help="choose formats whose fraction is nearer to the scores' range",
        )


@cache
def _log2_e() -> Fraction:
    with localcontext() as context:
        context.prec = 60
        return Fraction(1 / Decimal(2).ln())


@cache
def power_table(fraction: int) -> tuple[int, ...]:
    """``2**(30 - i * 2**-fraction)`` for one octave, each to the nearest integer."""
    with localcontext() as context:
        context.prec = 40
        step = Decimal(2) ** (Decimal(-1) / 2**fraction)
        power, powers = Decimal(2**_POWER_BITS), list[int]()
        for _ in range(2**fraction):
            powers.append(round(power))
            power *= step
    return tuple(powers)


def softmax(codes: Tensor, p: Softmax, dim: int = -1, keep: Tensor | None = None) -> Tensor:
    """Weights that sum to one along ``dim``, as codes in ``p.out``.

    The scores' distance from the largest is exact. In octaves it is rounded to ``2**-fraction``, which a
    table and a shift turn into a power of two with 30 bits; their sum's reciprocal has 62. For weights ``w``
    of a row of ``n`` the error is below ``step/2 + w * 2**-fraction + (n + 1) * 2**-29``, ``step`` that of
    ``p.out`` (rounding to nearest); weights do not decrease where scores do not, and saturate (1 is
    255/256 in ``ufixed<8,8>``).

    Args:
        codes: the scores, int64 below ``2**61``.
        p: the parameters.
        dim: the dimension of a row, of fewer than ``2**31`` elements.
        keep: broadcasts over ``codes``; where it is False the weight is exactly zero, and a row that keeps
            nothing has weights of zero.

    Returns:
        The weights' codes, shaped as ``codes``.

    Example:
        >>> p = Softmax.of(2.0**-4, Fixed(8, 8, signed=False))
        >>> scores = torch.tensor([16, 0, 0])  # 1.0, 0.0, 0.0
        >>> softmax(scores, p).tolist(), softmax(scores, p, keep=torch.tensor([True, True, False])).tolist()
        ([147, 54, 54], [187, 69, 0])
    """
    lowest = -(2**62)
    kept = codes if keep is None else torch.where(keep, codes, lowest)
    below = (kept.amax(dim, keepdim=True) - kept).clamp(0, p.limit)
    octaves = (below * p.multiplier + (1 << (p.shift - 1))) >> p.shift
    table = torch.tensor(power_table(p.fraction), device=codes.device)
    powers = table[octaves & (2**p.fraction - 1)] >> (octaves >> p.fraction).clamp(max=_POWER_BITS + 1)
    if keep is not None:
        powers = torch.where(keep, powers, 0)
    total = powers.sum(dim, keepdim=True).clamp(min=1)
    weights = powers * reciprocal(total, _RECIPROCAL_BITS)
    return saturated(shifted(weights, _RECIPROCAL_BITS - p.out.frac, p.out.rounding), p.out)
