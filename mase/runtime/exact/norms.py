"""Layer norm and RMS norm of integers: exact moments, an exact square root, one reciprocal for each row."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from mase.ir import Fixed, MaseError
from mase.runtime.exact.roots import reciprocal, square_root
from mase.runtime.exact.rounding import shifted, to_format

__all__ = ["Norm", "normalize", "normalized"]

_BITS = 62
_MOST_ROOT_BITS = 20
_MOST_FRACTION = 24


@dataclass(frozen=True)
class Norm:
    """What `normalize` needs to know; `Norm.of` chooses it.

    Args:
        count: how many numbers are normalised together.
        centered: whether their mean is subtracted first.
        root_bits: fractional bits of the deviation, of which ``count`` times as much is computed.
        eps: what is added to the variance, times ``count**2 * 4**root_bits`` on the operand's grid.
        reciprocal_bits: fractional bits of one over the deviation, ``root_bits`` among them.
        frac: fractional bits of normalised numbers.
        weight_frac: fractional bits of the weight, None without one.
        bias_frac: fractional bits of the bias, None without one.
        out: the format of the result.
    """

    count: int
    centered: bool
    root_bits: int
    eps: int
    reciprocal_bits: int
    frac: int
    weight_frac: int | None
    bias_frac: int | None
    out: Fixed

    @classmethod
    def of(
        cls,
        source: Fixed,
        out: Fixed,
        *,
        count: int,
        eps: float,
        centered: bool,
        weight: Fixed | None = None,
        bias: Fixed | None = None,
    ) -> Norm:
        """The parameters that use 64-bit integers best.

        Args:
            source: the operand's format.
            out: the format of the result.
            count: how many numbers are normalised together.
            eps: what is added to the variance, or to the mean of the squares.
            centered: whether the mean is subtracted: layer norm does, RMS norm does not.
            weight: the format of the weight, if there is one.
            bias: the format of the bias, if there is one.

        Raises:
            MaseError: if the squares of the numbers leave 64-bit integers.

        Example:
            >>> p = Norm.of(Fixed(8, 4), Fixed(8, 5), count=64, eps=1e-5, centered=True)
            >>> p.root_bits, p.eps, p.frac
            (17, 180143985095, 24)
        """
        largest = max(-source.code_min, source.code_max)
        unit = Fraction(eps) * count**2 * Fraction(4) ** source.frac
        variance = (count * largest) ** 2 + unit
        root_bits = min(_whole_bits(_BITS, variance) // 2, _MOST_ROOT_BITS)
        # A normalised number is at most the root of the count, twice that if the deviation is 0 or 1.
        magnitude = (count.bit_length() + 1) // 2 + 1
        reciprocal_bits = min(_BITS, _BITS - 1 - magnitude + root_bits)
        frac = min(_MOST_FRACTION, reciprocal_bits - root_bits - 1)
        if weight is not None:
            frac = min(frac, _BITS - 1 - magnitude - weight.width)
        if bias is not None:
            grid = 0 if weight is None else weight.frac
            frac = min(frac, _BITS - 1 - bias.width + bias.frac - grid)
        if root_bits < 0 or frac < out.frac + 2 - (0 if weight is None else weight.frac):
            raise MaseError.of(
                f"a norm of {count} numbers in {source} leaves the range of 64-bit integers",
                help="give its operand, its weight or its bias fewer bits",
            )
        return cls(
            count,
            centered,
            root_bits,
            round(unit * 4**root_bits),
            reciprocal_bits,
            frac,
            None if weight is None else weight.frac,
            None if bias is None else bias.frac,
            out,
        )


def _whole_bits(bits: int, value: Fraction) -> int:
    """The largest ``k`` such that ``value * 2**k`` is below ``2**bits``."""
    if not value:
        return bits
    k = bits - (value.numerator.bit_length() - value.denominator.bit_length()) - 1
    return k if value * Fraction(2) ** k < 2**bits else k - 1


def normalized(codes: Tensor, p: Norm, dims: tuple[int, ...]) -> Tensor:
    """``(x - mean) / sqrt(variance + eps)`` with ``p.frac`` fractional bits.

    Mean and variance are exact, as ``count`` and ``count**2`` times themselves. The root is rounded down, the
    reciprocal to nearest. For ``d`` the root that is taken the relative error is below ``1/d + 2**-20``,
    and ``d`` is at least ``2**root_bits * sqrt(count - 1)`` unless all numbers are the same; the result's
    rounding adds half a unit. Within a row larger numbers get no smaller results. Rows of equal numbers
    (of zeros, where the mean stays) give zero, even where ``eps`` is too small for the grid.

    Args:
        codes: int64 codes of the operand.
        p: the parameters.
        dims: the dimensions that are normalised, ``p.count`` numbers together.

    Example:
        >>> import torch
        >>> p = Norm.of(Fixed(8, 4), Fixed(8, 5), count=4, eps=0.0, centered=True)
        >>> (normalized(torch.tensor([1, 2, 3, 4]), p, (-1,)) * 2.0**-p.frac).tolist()
        [-1.3416..., -0.4472..., 0.4472..., 1.3416...]
    """
    squares = p.count * (codes * codes).sum(dims, keepdim=True)
    scaled = codes * p.count
    if p.centered:
        total = codes.sum(dims, keepdim=True)
        squares, scaled = squares - total * total, scaled - total
    root = square_root((squares << (2 * p.root_bits)) + p.eps).clamp(min=1)
    result = scaled * reciprocal(root, p.reciprocal_bits)
    return shifted(result, p.reciprocal_bits - p.root_bits - p.frac)


def normalize(
    codes: Tensor, weight: Tensor | None, bias: Tensor | None, p: Norm, dims: tuple[int, ...]
) -> Tensor:
    """``normalized * weight + bias`` as codes in ``p.out``.

    The products are exact, a bias that is finer than they are is rounded to their grid, half to even. So for
    a normalised number ``y`` and its error ``e`` (see `normalized`) the error of the result is below
    ``step/2 + abs(weight) * e + 2**-(frac + weight_frac + 1)``, ``step`` that of ``p.out``.

    Args:
        codes: int64 codes of the operand.
        weight: int64 codes that broadcast over ``codes``, or None.
        bias: as ``weight``.
        p: the parameters.
        dims: the dimensions that are normalised.

    Example:
        >>> import torch
        >>> weight, bias = Fixed(8, 6), Fixed(8, 4)
        >>> p = Norm.of(Fixed(8, 4), Fixed(8, 5), count=4, eps=0.0, centered=True, weight=weight, bias=bias)
        >>> normalize(torch.tensor([1, 2, 3, 4]), torch.tensor(64), torch.tensor(16), p, (-1,)).tolist()
        [-11, 18, 46, 75]
    """
    result, frac = normalized(codes, p, dims), p.frac
    if weight is not None and p.weight_frac is not None:
        result, frac = result * weight, frac + p.weight_frac
    if bias is not None and p.bias_frac is not None:
        result = result + shifted(bias, p.bias_frac - frac)
    return to_format(result, frac, p.out)
