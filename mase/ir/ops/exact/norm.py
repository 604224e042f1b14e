"""Layer norm and RMS norm of integers: exact moments, an exact square root, one reciprocal for each row."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.formats import Fixed
from mase.ir.formats.code import Code
from mase.ir.op import OpError, register_op
from mase.ir.ops.exact.base import ExactOp, carrier, codes, fixed
from mase.ir.ops.exact.interval import Interval
from mase.ir.ops.exact.numbers import Numbers
from mase.ir.ops.shapes import broadcast
from mase.ir.types import TensorType, Type

__all__ = ["Norm"]

_BITS = 62
_MOST_ROOT_BITS = 20
_MOST_FRACTION = 24


@register_op("int.norm")
class Norm(ExactOp):
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` over the last dimensions.

    With ``s`` the sum of a row (0 unless ``centered``) and ``q`` that of its squares,
    ``d = max(isqrt(((count * q - s**2) << 2 * root_bits) + eps), 1)`` is ``count`` times the deviation,
    ``r = (2**reciprocal_bits + d // 2) // d``, and the normalised number is ``(count * x - s) * r``, rounded
    half to even to ``frac`` fractional bits. Its products with the weight are exact, a bias that is finer is
    rounded half to even to their grid; the sum is rounded and saturated as ``out`` says.

    Args:
        count: how many numbers are normalised together.
        centered: whether their mean is subtracted first.
        dims: how many of the last dimensions they fill.
        root_bits: fractional bits of the deviation, of which ``count`` times as much is computed.
        eps: what is added to the variance, times ``count**2 * 4**root_bits`` on the operand's grid.
        reciprocal_bits: fractional bits of one over the deviation, ``root_bits`` among them.
        frac: fractional bits of normalised numbers.
        weight_frac: fractional bits of the weight, None without one.
        bias_frac: fractional bits of the bias, None without one.
        out: the format of the result.
        zero_point: the code of 0 in the operand, which is taken away first.
    """

    count: int
    centered: bool
    dims: int = 1
    root_bits: int
    eps: int
    reciprocal_bits: int
    frac: int
    weight_frac: int | None = None
    bias_frac: int | None = None
    out: Format
    zero_point: int = 0

    @classmethod
    def of(
        cls,
        source: Fixed | Numbers,
        out: Fixed,
        *,
        count: int,
        eps: float,
        centered: bool,
        dims: int = 1,
        weight: Fixed | None = None,
        bias: Fixed | None = None,
        zero_point: int = 0,
    ) -> Norm:
        """The parameters that use 64-bit integers best.

        Args:
            source: the operand's format, or its numbers.
            out: the format of the result.
            count: how many numbers are normalised together.
            eps: what is added to the variance, or to the mean of the squares.
            centered: whether the mean is subtracted: layer norm does, RMS norm does not.
            dims: how many of the last dimensions are normalised together.
            weight: the format of the weight, if there is one.
            bias: the format of the bias, if there is one.
            zero_point: the code of 0 in the operand.

        Raises:
            MaseError: if the squares of the numbers leave 64-bit integers.

        Example:
            >>> p = Norm.of(Fixed(8, 4), Fixed(8, 5), count=64, eps=1e-5, centered=True)
            >>> p.root_bits, p.eps, p.frac
            (17, 180143985095, 24)
        """
        largest, step = Numbers.of(source).magnitude, Numbers.of(source).step
        unit = Fraction(eps) * count**2 / step**2
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
        if min(root_bits, frac) < 0 or frac < out.frac + 2 - (0 if weight is None else weight.frac):
            raise MaseError.of(
                f"a norm of {count} numbers in {source} leaves the range of 64-bit integers",
                help="give its operand, its weight or its bias fewer bits",
            )
        return cls(
            count=count,
            centered=centered,
            dims=dims,
            root_bits=root_bits,
            eps=round(unit * 4**root_bits),
            reciprocal_bits=reciprocal_bits,
            frac=frac,
            weight_frac=None if weight is None else weight.frac,
            bias_frac=None if bias is None else bias.frac,
            out=out,
            zero_point=zero_point,
        )

    @property
    def format(self) -> Fixed:
        """The format of the result."""
        return fixed(self.out)

    def infer(
        self, data_in: TensorType, *, weight: TensorType | None = None, bias: TensorType | None = None
    ) -> Type:
        x = codes(data_in, "data_in")
        sizes = [d for d in x.shape[-self.dims :] if isinstance(d, int)]
        if len(sizes) != self.dims or math.prod(sizes) != self.count:
            raise OpError(f"count: expected the size of the last {self.dims} dimensions of {x}")
        for what, role, frac in (("weight", weight, self.weight_frac), ("bias", bias, self.bias_frac)):
            if (role is None) != (frac is None):
                raise OpError(f"{what}_frac: {'expected' if role else 'found'} the fraction of a {what}")
            if role is not None:
                broadcast(x.shape, codes(role, what).shape)
        return TensorType(Code(self.format.width, self.format.signed), x.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        x = operands[0].shifted(self.zero_point)
        largest = self.count * x.magnitude
        if (largest**2 << 2 * self.root_bits) + self.eps >= 2**_BITS:
            raise OpError(f"the squares of {self.count} numbers in {x} leave int64")
        # A normalised number is at most the root of the count, and twice that by a root that is rounded down.
        number = (math.isqrt(self.count) + 1) * 2
        carrier(_symmetric((number << self.reciprocal_bits - self.root_bits) + largest), "the quotient")
        product = (number << self.frac) * _magnitude(roles.get("weight"), 1)
        bias = _magnitude(roles.get("bias"), 0)
        left = self.frac + (self.weight_frac or 0) - (self.bias_frac or 0)
        carrier(_symmetric(2 * product + (bias << max(left, 0))), "the product with the weight")
        return Interval(self.format.code_min, self.format.code_max)


def _symmetric(magnitude: int) -> Interval:
    return Interval(-magnitude, magnitude)


def _magnitude(tensor: Any, absent: int) -> int:
    return absent if tensor is None else max(abs(int(tensor.min())), abs(int(tensor.max())))


def _whole_bits(bits: int, value: Fraction) -> int:
    """The largest ``k`` such that ``value * 2**k`` is below ``2**bits``."""
    if not value:
        return bits
    k = bits - (value.numerator.bit_length() - value.denominator.bit_length()) - 1
    return k if value * Fraction(2) ** k < 2**bits else k - 1
