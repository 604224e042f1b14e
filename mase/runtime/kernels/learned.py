"""What a scale learns from: the gradient of the loss by the scale, through the quantizer (LSQ)."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir.formats import Integer
from mase.runtime import native
from mase.runtime.kernels.base import scaled_kernel
from mase.runtime.kernels.encoded import Scale
from mase.runtime.kernels.integer import sharing_of

__all__ = ["learned_gradients"]


def learned_gradients(gradient: Tensor, x: Tensor, format: Integer, scale: Scale) -> tuple[Tensor, Tensor]:
    """The gradients by the input and by the scales, in one pass over memory (arXiv:1902.08153).

    By the scale ``s``, a quantized value ``y`` changes by ``(y - x) / s`` where ``x`` lies in the range, and
    by ``y / s``, the bound's code, where it does not.

    Args:
        gradient: that of the quantized values.
        x: what was quantized.
        format: the format, whose scales are given.
        scale: the scales.

    Returns:
        The gradient by ``x``, clipped to the range; and by each scale, float64, shaped as they are. LSQ
        divides it by the square root of the number of values times the largest code.

    Example:
        >>> scale = Scale(torch.tensor(0.5))
        >>> x = torch.tensor([0.7, 9.0])
        >>> by_x, by_scale = learned_gradients(torch.ones(2), x, Integer(4), scale)
        >>> by_x.tolist(), round(by_scale.item(), 4)  # 1 - 1.4 and 7
        ([1.0, 0.0], 6.6)
    """
    assert scale.value is not None
    value = scale.value.detach()
    plan = None if torch.is_grad_enabled() else native.scaled_plan_for(format, x, gradient, value)
    if plan:
        by_x, total = plan.gradients(gradient, x, value, scale.zero_point, learn=True)
    else:
        kernel, sharing = scaled_kernel(format), sharing_of(format)
        by_x = kernel.pass_gradient(gradient, x, format, scale)
        change = gradient * kernel.quantize(x, format, scale) - by_x * x
        total = sharing.reduce(torch.sum, sharing.arrange(change.double()))
    assert total is not None
    return by_x, total / value
