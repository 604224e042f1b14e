"""Fake quantization with scales that learn (LSQ)."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from mase.ir.formats import Integer
from mase.runtime.given_scales import positive
from mase.runtime.kernels import Scale, quantize
from mase.runtime.kernels.learned import learned_gradients

__all__ = ["fake_quantize_learned"]


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor | None, format: Integer, clip_grad: bool
    ) -> Tensor:
        ctx.given = Scale(positive(scale), zero_point)
        ctx.format, ctx.clip_grad = format, clip_grad
        ctx.save_for_backward(x)
        return quantize(x, format, ctx.given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (gradient,) = gradients
        (x,) = ctx.saved_tensors
        scale = ctx.given.value
        by_x, by_scale = learned_gradients(gradient, x, ctx.format, ctx.given)
        by_scale /= math.sqrt(max(x.numel() // scale.numel(), 1) * max(ctx.format.code_max, 1))
        return by_x if ctx.clip_grad else gradient, by_scale.to(scale.dtype), None, None, None


def fake_quantize_learned(
    x: Tensor, format: Integer, scale: Tensor, zero_point: Tensor | None = None, clip_grad: bool = True
) -> Tensor:
    """Quantize with given scales, to which a gradient goes as in LSQ (Esser et al. 2020, arXiv:1902.08153).

    Args:
        x: float tensor of any shape.
        format: a scaled integer format.
        scale: positive numbers, as many as the format has for ``x``.
        zero_point: the codes of 0 in an ``asym`` format.
        clip_grad: whether the gradient of ``x`` is 0 where it lies outside of the range.

    Example:
        >>> scale = torch.tensor(0.5, requires_grad=True)
        >>> y = fake_quantize_learned(torch.tensor([0.7, 9.0]), Integer(4), scale)
        >>> y.sum().backward()
        >>> y.tolist(), round(scale.grad.item(), 3)  # (1 - 1.4 + 7) / sqrt(2 * 7)
        ([0.5, 3.5], 1.764)
    """
    return cast(Any, _Learned).apply(x, scale, zero_point, format, clip_grad)
