"""Softmax of integers: powers of two from a table, one reciprocal for each row."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.formats import Dtype, Fixed
from mase.ir.formats.code import Code
from mase.ir.op import OpError, register_op
from mase.ir.ops.exact.base import ExactOp, codes, fixed, is_integer
from mase.ir.ops.exact.interval import Interval
from mase.ir.ops.shapes import broadcast, tensor
from mase.ir.types import TensorType, Type

__all__ = ["POWER_BITS", "RECIPROCAL_BITS", "Softmax", "power_table"]

POWER_BITS = 30
"""The bits of the powers, of which the largest score's is ``2**30``."""
RECIPROCAL_BITS = 62
"""The fractional bits of one over the sum of the powers."""

_MULTIPLIER_BITS = 31
_SHIFTED_BITS = 56  # so that a difference of scores times the multiplier stays below 2**62
_LARGEST_SCORE = 2**61
_MASK_BITS = 17  # of the factor that brings a mask onto the scores' grid


@register_op("int.softmax")
class Softmax(ExactOp):
    """Weights that sum to one along ``dim``, of scores whose step is in the multiplier.

    ``t = (min(max(x) - x, limit) * multiplier + 2**(shift-1)) >> shift`` is the distance from the largest
    score in octaves of ``2**-fraction``; ``e = table[t % 2**fraction] >> (t >> fraction)`` its power with 30
    bits; the weight ``round(e * ((2**62 + sum(e) // 2) // sum(e)) * 2**(out.frac - 62))``, rounded and
    saturated as ``out`` says. The operand ``mask`` broadcasts over the scores. Where it is False, or the code
    ``mask_min``, ``e`` is 0 and the score does not count for the largest; rows that keep nothing are zero.
    Other codes of a mask are added: ``x`` is ``data_in * score_factor + mask * mask_factor``.

    Args:
        dim: the dimension of a row.
        multiplier: turns differences of scores into octaves of ``2**-fraction``, times ``2**shift``.
        shift: at least 1.
        fraction: fractional bits of an octave, which address the table of powers.
        limit: the largest difference that matters; weights further below the largest are zero.
        out: the format of the weights.
        causal: whether of the scores ``[..., i, j]`` those with ``j > i`` are left out too.
        score_factor: a power of two, by which scores are finer where a mask is added.
        mask_factor: brings a mask's codes to the scores' step.
        mask_min: the code of a mask that stands for minus infinity.
    """

    dim: int = -1
    multiplier: int
    shift: int
    fraction: int
    limit: int
    out: Format
    causal: bool = False
    score_factor: int = 1
    mask_factor: int = 0
    mask_min: int = 0

    @classmethod
    def of(
        cls,
        step: float | Fraction,
        out: Fixed,
        *,
        fraction: int | None = None,
        dim: int = -1,
        causal: bool = False,
        mask: Fixed | None = None,
    ) -> Softmax:
        """The parameters for scores of ``code * step``.

        Args:
            step: what one unit of a score's code is worth, any scale of the scores included.
            out: the format of the weights, such as ``ufixed<8,8>``.
            fraction: fractional bits of an octave; 2 more than the weights have unless given, at
                least 8 and at most 16.
            dim: the dimension of a row.
            causal: whether a row leaves out what comes after its own position.
            mask: the format of a mask that is added; its least number leaves a score out.

        Raises:
            MaseError: if ``step`` is not positive, or too small or large for 64-bit integers.

        Example:
            >>> p = Softmax.of(2.0**-4, Fixed(8, 8, signed=False))
            >>> p.fraction, round(p.multiplier * 2.0**-p.shift, 6)  # 2**10 * 2**-4 / ln(2)
            (10, 92.332483)
        """
        bits = min(max(out.frac + 2, 8), 16) if fraction is None else fraction
        known = 0 < step < float("inf")
        added = _alignment(Fraction(step), mask) if mask is not None and known else {}
        found = _octaves(Fraction(step) / added.get("score_factor", 1), bits) if known else None
        if found is None:
            raise MaseError.of(
                f"softmax of scores with a step of {float(step):g} leaves the range of 64-bit integers",
                help="choose formats whose fraction is nearer to the scores' range",
            )
        multiplier, shift = found
        # A difference beyond the last bit of the powers, in fractions of octaves.
        top = (POWER_BITS + 1) << bits
        return cls(
            dim=dim,
            multiplier=multiplier,
            shift=shift,
            fraction=bits,
            limit=-((-top << shift) // multiplier),
            out=out,
            causal=causal,
            **added,
        )

    @property
    def format(self) -> Fixed:
        """The format of the weights."""
        return fixed(self.out)

    def infer(self, data_in: TensorType, mask: TensorType | None = None) -> Type:
        x = codes(data_in, "data_in")
        if not -x.rank <= self.dim < x.rank:
            raise OpError(f"{x} has no dimension {self.dim}")
        if self.causal and (self.dim % x.rank != x.rank - 1 or x.rank < 2):
            raise OpError(f"causal: expected rows along the last of two dimensions or more, found {x}")
        if mask is not None:
            if tensor(mask, "mask").format != Dtype("bool") and not (is_integer(mask) and self.mask_factor):
                raise OpError(f"mask: expected bool, or codes and a mask_factor, found {mask}")
            broadcast(x.shape, mask.shape)
        if (self.limit + 1) * self.multiplier >= 2**RECIPROCAL_BITS or not 0 < self.shift <= _SHIFTED_BITS:
            raise OpError("the multiplier times the largest difference leaves int64")
        return TensorType(Code(self.format.width, self.format.signed), x.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x = operands[0] * Interval(self.score_factor, self.score_factor)
        if len(operands) > 1 and self.mask_factor:
            x = x + operands[1] * Interval(self.mask_factor, self.mask_factor)
        if x.magnitude >= _LARGEST_SCORE:
            raise OpError(f"scores in {x} leave no room in int64")
        return Interval(0, self.format.code_max)

    def table(self) -> tuple[int, ...]:
        """The powers of one octave."""
        return power_table(self.fraction)


def _octaves(step: Fraction, bits: int) -> tuple[int, int] | None:
    """The multiplier and shift that turn steps into octaves of ``bits`` fractional bits.

    None if 64-bit integers hold none that is exact enough.
    """
    ratio = step * _log2_e() * 2**bits
    exact = _MULTIPLIER_BITS - (ratio.numerator.bit_length() - ratio.denominator.bit_length())
    shift = min(exact - 1, _SHIFTED_BITS - bits)
    multiplier = round(ratio * 2**shift) if shift > 0 else 0
    # From here on, the multiplier's own rounding hardly counts.
    return (multiplier, shift) if multiplier >= 2 ** (bits + 10) else None


def _alignment(step: Fraction, mask: Fixed) -> dict[str, int]:
    """The factors that bring scores and a mask to one step; of the mask's 16 bits are exact."""
    ratio = Fraction(mask.step) / step
    finer = max(_MASK_BITS - (ratio.numerator.bit_length() - ratio.denominator.bit_length()), 0)
    factors = {"score_factor": 2**finer, "mask_factor": round(ratio * 2**finer)}
    return {**factors, "mask_min": mask.code_min}


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
        power, powers = Decimal(2**POWER_BITS), list[int]()
        for _ in range(2**fraction):
            powers.append(round(power))
            power *= step
    return tuple(powers)
