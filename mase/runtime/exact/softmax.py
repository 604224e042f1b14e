"""Softmax of integers: powers of two from a table, one reciprocal for each row."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir.ops.exact.softmax import POWER_BITS, RECIPROCAL_BITS, Softmax
from mase.runtime.exact.registry import execute
from mase.runtime.exact.requantize import shift_round
from mase.runtime.exact.roots import reciprocal

__all__ = ["softmax"]


@execute.register(Softmax)
def softmax(op: Softmax, codes: Tensor, mask: Tensor | None = None) -> Tensor:
    """``int.softmax``: weights that sum to one, as codes in ``op.out``.

    The scores' distance from the largest is exact. In octaves it is rounded to ``2**-fraction``, which a
    table and a shift turn into a power of two with 30 bits; their sum's reciprocal has 62. For weights ``w``
    of a row of ``n`` the error is below ``step/2 + w * 2**-fraction + (n + 1) * 2**-29``, ``step`` that of
    ``op.out`` (rounding to nearest); weights do not decrease where scores do not, and saturate (1 is
    255/256 in ``ufixed<8,8>``).

    Args:
        op: the parameters.
        codes: the scores, int64 below ``2**61``, in rows of fewer than ``2**31``.
        mask: broadcasts over ``codes``; where it is False, or as code the least, the weight is exactly zero,
            and a row that keeps nothing has weights of zero. Other codes are added to the scores.

    Returns:
        The weights' codes, shaped as ``codes``.

    Example:
        >>> from mase.ir import Fixed
        >>> op = Softmax.of(2.0**-4, Fixed(8, 8, signed=False))
        >>> scores = torch.tensor([16, 0, 0])  # 1.0, 0.0, 0.0
        >>> softmax(op, scores).tolist(), softmax(op, scores, torch.tensor([True, True, False])).tolist()
        ([147, 54, 54], [187, 69, 0])
    """
    codes, keep = _masked(op, codes, mask)
    keep = _causal(op, codes, keep)
    kept = codes if keep is None else torch.where(keep, codes, -(2**62))
    below = (kept.amax(op.dim, keepdim=True) - kept).clamp(0, op.limit)
    octaves = (below * op.multiplier + (1 << (op.shift - 1))) >> op.shift
    table = torch.tensor(op.table(), device=codes.device)
    powers = table[octaves & (2**op.fraction - 1)] >> (octaves >> op.fraction).clamp(max=POWER_BITS + 1)
    if keep is not None:
        powers = torch.where(keep, powers, 0)
    total = powers.sum(op.dim, keepdim=True).clamp(min=1)
    weights = powers * reciprocal(total, RECIPROCAL_BITS)
    out = op.format
    return shift_round(weights, RECIPROCAL_BITS - out.frac, out.rounding).clamp(max=out.code_max)


def _masked(op: Softmax, codes: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The scores with what a mask adds to them, and which of them count."""
    if mask is None or mask.dtype is torch.bool:
        return codes, mask
    return codes * op.score_factor + mask * op.mask_factor, mask != op.mask_min


def _causal(op: Softmax, codes: Tensor, keep: Tensor | None) -> Tensor | None:
    if not op.causal:
        return keep
    earlier = torch.ones(codes.shape[-2:], dtype=torch.bool, device=codes.device).tril()
    return earlier if keep is None else earlier & keep
