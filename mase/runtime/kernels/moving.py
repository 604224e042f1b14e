"""Ranges that follow the data: quantization with an observer in the same pass over memory."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mase.ir import MaseError
from mase.ir.formats import Integer
from mase.runtime import native
from mase.runtime.distributed import widest
from mase.runtime.kernels.base import quantize, scaled_kernel
from mase.runtime.kernels.bits import finite
from mase.runtime.kernels.encoded import Scale
from mase.runtime.kernels.ste import pass_gradient

__all__ = ["fake_quantize_following", "fake_quantize_moving"]


def fake_quantize_moving(
    x: Tensor, format: Integer, range: Tensor, momentum: float = 0.01, clip_grad: bool = True
) -> Tensor:
    """Quantize with the scale of a range that has followed the data so far, and let ``x`` move it.

    The range of ``x`` counts from the next call on, so that one pass over memory both quantizes and
    observes. Only the first call looks ahead. Processes that train together move it by what all of them
    saw, so that it is the same in each.

    Args:
        x: float tensor of any shape; its infinities and NaN move nothing.
        format: a format with one scale for the tensor.
        range: float32[2], the least and the largest value; moved in place. NaN before the first call.
        momentum: the weight of ``x``: 1 keeps its range alone, 0 moves nothing.
        clip_grad: whether the gradient is 0 where ``x`` lies outside of the range.

    Raises:
        MaseError: if the format has several scales.

    Example:
        >>> range = torch.full((2,), torch.nan)
        >>> fake_quantize_moving(torch.tensor([-1.0, 3.5]), Integer(4), range, 0.5)
        tensor([-1.0000,  3.5000])
        >>> fake_quantize_moving(torch.tensor([0.0, 7.5]), Integer(4), range, 0.5)
        tensor([0.0000, 3.5000])
        >>> range
        tensor([-0.5000,  5.5000])
    """
    if format.channel is not None or format.group is not None or format.token:
        raise MaseError.of(f"{format} has several scales", help="a format such as int<8> has one range")
    if is_first := bool(range[0].isnan()):
        range.copy_(widest(_range_of(x)))
    scale = scaled_kernel(format).scale_of(range, format)
    y, seen = cast(Any, _Observed).apply(x, format, scale, clip_grad)
    if not is_first:
        range.lerp_(widest(seen), momentum)
    return y


def fake_quantize_following(
    x: Tensor,
    format: Integer,
    range: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    clip_grad: bool = True,
) -> Tensor:
    """`fake_quantize_moving`, which leaves the scale of the moved range where evaluation finds it.

    Args:
        x: float tensor of any shape.
        format: a format with one scale for the tensor.
        range: float32[2]; moved in place.
        scale: that of the range; moved with it.
        zero_point: likewise, if the format is ``asym``.
        clip_grad: whether the gradient is 0 where ``x`` lies outside of the range.

    Example:
        >>> range, scale = torch.tensor([-7.0, 7.0]), torch.tensor(1.0)
        >>> fake_quantize_following(torch.tensor([0.4, 107.0]), Integer(4), range, scale)
        tensor([0., 7.])
        >>> range, scale  # a hundredth of the way
        (tensor([-6.9300,  8.0000]), tensor(1.1429))
    """
    y = fake_quantize_moving(x, format, range, clip_grad=clip_grad)
    with torch.no_grad():
        now = scaled_kernel(format).scale_of(range, format)
        scale.copy_(cast(Tensor, now.value).view_as(scale))
        if zero_point is not None:
            zero_point.copy_(cast(Tensor, now.zero_point).view_as(zero_point))
    return y


class _Observed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, format: Integer, scale: Scale, clip_grad: bool) -> tuple[Tensor, Tensor]:
        ctx.format, ctx.scale = format, scale
        ctx.save_for_backward(*((x,) if clip_grad else ()))
        assert scale.value is not None
        if plan := native.scaled_plan_for(format, x, scale.value):
            seen = x.new_empty(2)
            y = plan.quantize_with(x, scale.value, scale.zero_point, seen)
        else:
            y, seen = quantize(x, format, scale), _range_of(x)
        ctx.mark_non_differentiable(seen)
        return y, seen

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        gradient = gradients[0]
        for x in ctx.saved_tensors:
            gradient = pass_gradient(gradient, x, ctx.format, ctx.scale)
        return gradient, None, None, None


@torch.no_grad()
def _range_of(x: Tensor) -> Tensor:
    """The finite range of ``x``, widened to hold 0."""
    x = finite(x)
    zero = x.new_zeros(1)
    low, high = torch.cat([x.flatten(), zero]).aminmax()
    return torch.stack([low, high]).float()
