"""Layer norm and RMS norm of integers: exact moments, an exact square root, one reciprocal for each row."""

from __future__ import annotations

from torch import Tensor

from mase.ir.ops.exact.norm import Norm
from mase.runtime.exact.registry import execute
from mase.runtime.exact.roots import reciprocal, square_root
from mase.runtime.exact.rounding import shifted, to_format

__all__ = ["norm", "normalized"]


def normalized(op: Norm, codes: Tensor) -> Tensor:
    """``(x - mean) / sqrt(variance + eps)`` with ``frac`` fractional bits.

    Mean and variance are exact, as ``count`` and ``count**2`` times themselves. The root is rounded down, the
    reciprocal to nearest. For ``d`` the root that is taken the relative error is below ``1/d + 2**-20``,
    and ``d`` is at least ``2**root_bits * sqrt(count - 1)`` unless all numbers are the same; the result's
    rounding adds half a unit. Within a row larger numbers get no smaller results. Rows of equal numbers
    (of zeros, where the mean stays) give zero, even where ``eps`` is too small for the grid.

    Args:
        op: the parameters.
        codes: int64 codes of the operand, less their zero point.

    Example:
        >>> import torch
        >>> from mase.ir import Fixed
        >>> op = Norm.of(Fixed(8, 4), Fixed(8, 5), count=4, eps=0.0, centered=True)
        >>> (normalized(op, torch.tensor([1, 2, 3, 4])) * 2.0**-op.frac).tolist()
        [-1.3416..., -0.4472..., 0.4472..., 1.3416...]
    """
    dims = tuple(range(-op.dims, 0))
    squares = op.count * (codes * codes).sum(dims, keepdim=True)
    scaled = codes * op.count
    if op.centered:
        total = codes.sum(dims, keepdim=True)
        squares, scaled = squares - total * total, scaled - total
    root = square_root((squares << (2 * op.root_bits)) + op.eps).clamp(min=1)
    result = scaled * reciprocal(root, op.reciprocal_bits)
    return shifted(result, op.reciprocal_bits - op.root_bits - op.frac)


@execute.register(Norm)
def norm(op: Norm, codes: Tensor, *, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """``int.norm``: ``normalized * weight + bias`` as codes in ``op.out``.

    The products are exact, a bias that is finer than they are is rounded to their grid, half to even. So for
    a normalised number ``y`` and its error ``e`` (see `normalized`) the error of the result is below
    ``step/2 + abs(weight) * e + 2**-(frac + weight_frac + 1)``, ``step`` that of ``op.out``.

    Args:
        op: the parameters.
        codes: int64 codes of the operand.
        weight: its codes, which broadcast over ``codes``.
        bias: as ``weight``.

    Example:
        >>> import torch
        >>> from mase.ir import Fixed
        >>> weight, bias = Fixed(8, 6), Fixed(8, 4)
        >>> op = Norm.of(Fixed(8, 4), Fixed(8, 5), count=4, eps=0.0, centered=True, weight=weight, bias=bias)
        >>> norm(op, torch.tensor([1, 2, 3, 4]), weight=torch.tensor(64), bias=torch.tensor(16)).tolist()
        [-11, 18, 46, 75]
    """
    result, frac = normalized(op, codes - op.zero_point if op.zero_point else codes), op.frac
    if weight is not None and op.weight_frac is not None:
        result, frac = result * weight, frac + op.weight_frac
    if bias is not None and op.bias_frac is not None:
        result = result + shifted(bias.long(), min(op.bias_frac - frac, 62))
    return to_format(result, frac, op.format)
