"""Codes of one scale as codes of another, in int64: multiply, shift with rounding, saturate."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir.format import Rounding
from mase.ir.ops.exact import Requantization, Requantize
from mase.ir.ops.exact.requantization import PART_BITS
from mase.runtime.exact.registry import execute

__all__ = ["requantize", "shift_round"]


def shift_round(x: Tensor, shift: int | Tensor, rounding: Rounding = "half_even") -> Tensor:
    """``x * 2**-shift`` as integers.

    Args:
        x: int64 with ``abs(x) + 2**(shift - 1)`` below ``2**63``.
        shift: 0 to 62, one or for each element by broadcasting.
        rounding: what becomes of the bits that are shifted out.

    Example:
        >>> x = torch.tensor([-3, -1, 1, 3])
        >>> shift_round(x, 1).tolist(), shift_round(x, 1, "half_up").tolist()
        ([-2, 0, 0, 2], [-1, 0, 1, 2])
    """
    if rounding == "floor":
        return x >> shift
    half = 1 << shift >> 1 if isinstance(shift, int) else torch.ones_like(shift) << shift >> 1
    if rounding == "half_up":
        return (x + half) >> shift
    # Just under half, and one more where the result would be odd.
    added = (x >> shift).bitwise_and_(1)
    if isinstance(half, int):
        added = added.add_(half - 1) if half else added.zero_()
    else:
        added = torch.where(half > 0, added.add_(half - 1), 0)
    return added.add_(x).bitwise_right_shift_(shift)


def requantize(
    x: Tensor,
    to: Requantization,
    multiplier: Tensor | None = None,
    shift: Tensor | None = None,
    axis: int = 0,
) -> Tensor:
    """`Requantization.apply` for each element.

    Args:
        x: int64 codes.
        to: the record.
        multiplier: one for each index of ``axis`` instead of the record's.
        shift: the same.
        axis: a dimension of ``x``.

    Returns:
        int64 codes.

    Example:
        >>> relu = Requantization(width=8, min=0, max=127, shift=6)
        >>> requantize(torch.tensor([96, 160, -500, 99999]), relu).tolist()
        [2, 2, 0, 127]
    """
    centred = x.long() - to.source_zero_point if to.source_zero_point else x.long()
    by = to.multiplier if multiplier is None else _along(axis, multiplier, x)
    if to.wide:
        rounded = _in_parts(centred, by, to.shift if shift is None else _along(axis, shift, x), to)
        return (rounded + to.zero_point).clamp(to.min, to.max)
    product = centred if multiplier is None and to.multiplier == 1 else centred * by
    if shift is None:
        rounded = _shifted(product, to)
    else:
        shifts = _along(axis, shift, x)
        right = shift_round(product, shifts.clamp(min=0), to.rounding)
        rounded = _shifted_left(right, (-shifts).clamp(min=0), to)
    return (rounded + to.zero_point if to.zero_point else rounded).clamp(to.min, to.max)


def _in_parts(x: Tensor, by: int | Tensor, shift: int | Tensor, to: Requantization) -> Tensor:
    """The product's upper bits, and below them one that tells whether any of the others is set."""
    mask = (1 << PART_BITS) - 1
    lower = x * (by & mask)
    upper = x * (by >> PART_BITS) + (lower >> PART_BITS)
    sticky = (upper << 1) | ((lower & mask) != 0).long()
    return shift_round(sticky, shift - PART_BITS + 1, to.rounding)


def _shifted(x: Tensor, to: Requantization) -> Tensor:
    if to.shift > 0:
        return shift_round(x, to.shift, to.rounding)
    return _shifted_left(x, -to.shift, to) if to.shift < 0 else x


def _shifted_left(x: Tensor, by: int | Tensor, to: Requantization) -> Tensor:
    """``x * 2**by``, saturated before it could overflow: far beyond the result's range all is one."""
    low, high = (torch.tensor(end - to.zero_point, device=x.device) for end in (to.min, to.max))
    return x.clamp((low >> by) - 1, (high >> by) + 1) << by


def _along(axis: int, channels: Tensor, x: Tensor) -> Tensor:
    shape = [1] * x.dim()
    shape[axis] = -1
    return channels.long().view(shape)


@execute.register(Requantize)
def requantize_op(
    op: Requantize, data_in: Tensor, *, multiplier: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """``int.requantize``."""
    return requantize(data_in, op.to, multiplier, shift, op.axis)
