"""Fake quantization: quantized values forward, straight-through gradients backward."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mase.ir import Format
from mase.runtime import native
from mase.runtime.kernels.base import GivenScale, as_format, kernel_of, quantize, scaled_kernel
from mase.runtime.kernels.encoded import Scale
from mase.runtime.kernels.fixed import round_to

__all__ = ["fake_quantize", "pass_gradient", "round_straight"]


class _FakeQuantize(torch.autograd.Function):
    """Saves its input, which is alive anyway, and not a mask, which backward finds again in its one pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, format: Format, clip_grad: bool) -> Tensor:
        return quantize(x, format)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Format, bool], output: Tensor) -> None:
        x, ctx.format, ctx.clip_grad = inputs
        if ctx.clip_grad:
            ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        if ctx.clip_grad:
            (x,) = ctx.saved_tensors
            gradient = pass_gradient(gradient, x, ctx.format)
        return gradient, None, None


class _EagerFakeQuantize(torch.autograd.Function):
    """The same for plain tensors: without `setup_context`, torch calls it 10 microseconds sooner."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: native.Plan, format: Format, clip_grad: bool) -> Tensor:
        _FakeQuantize.setup_context(ctx, (x, format, clip_grad), x)
        return plan.quantize(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return (*_FakeQuantize.backward(ctx, *gradients), None)


class _ScaledFakeQuantize(torch.autograd.Function):
    """The same with a scale from outside, to which no gradient goes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, format: Format, clip_grad: bool, scale: Scale) -> Tensor:
        ctx.format, ctx.scale = format, scale
        ctx.save_for_backward(*((x,) if clip_grad else ()))
        return quantize(x, format, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        for x in ctx.saved_tensors:
            gradient = pass_gradient(gradient, x, ctx.format, ctx.scale)
        return gradient, None, None, None


def pass_gradient(gradient: Tensor, x: Tensor, format: Format, scale: Scale | None = None) -> Tensor:
    """The straight-through gradient: ``gradient`` where ``x`` lies in the range of ``format``, 0 elsewhere.

    Args:
        gradient: that of the quantized values.
        x: what was quantized.
        format: a complete number format.
        scale: the scales, if they were given.
    """
    # Autograd must see a gradient that is itself to be differentiated.
    hidden = not torch.is_grad_enabled()
    if scale is None:
        plan = native.plan_for(format, x, gradient) if hidden else None
        return (
            plan.pass_gradient(gradient, x) if plan else kernel_of(format).pass_gradient(gradient, x, format)
        )
    value = scale.value
    scaled = native.scaled_plan_for(format, x, gradient, value) if hidden and value is not None else None
    if scaled and value is not None:
        return scaled.gradients(gradient, x, value, scale.zero_point)[0]
    return scaled_kernel(format).pass_gradient(gradient, x, format, scale)


def fake_quantize(
    x: Tensor, format: Format | str, clip_grad: bool = True, scale: GivenScale | None = None
) -> Tensor:
    """`quantize` with the straight-through estimator of Bengio et al. 2013 (arXiv:1308.3432) as gradient.

    Args:
        x: float tensor of any shape.
        format: a number format or its text.
        clip_grad: whether the gradient is 0 where ``x`` lies outside of the representable range;
            otherwise it passes everywhere.
        scale: the scales, where the format has some and they are not to come from ``x``. The range is
            then theirs; without them every finite number is in the range of a format with scales.

    Returns:
        The quantized values, a tensor like ``x``.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.1, 9.0], requires_grad=True)
        >>> fake_quantize(x, "fixed<8,4>").sum().backward()
        >>> x.grad
        tensor([1., 0.])
    """
    if scale is not None:
        format = as_format(format)
        given = scaled_kernel(format).given(scale, x, format)
        return cast(Any, _ScaledFakeQuantize).apply(x, format, clip_grad, given)
    if torch.compiler.is_compiling():
        return torch.ops.mase.fake_quantize(x, str(format), clip_grad)  # see ops.py
    format = as_format(format)
    plan = native.plan_for(format, x)
    if plan is None:
        return cast(Any, _FakeQuantize).apply(x, format, clip_grad)
    if not (x.requires_grad and torch.is_grad_enabled()):
        return plan.quantize(x)
    return cast(Any, _EagerFakeQuantize).apply(x, plan, format, clip_grad)


class _Round(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, frac: int) -> Tensor:
        return round_to(x.to(torch.float64, copy=True), frac).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def round_straight(x: Tensor, frac: int) -> Tensor:
    """Round to the nearest multiple of ``2**-frac``, ties to even; the gradient passes everywhere.

    Args:
        x: float tensor with ``abs(x) * 2**frac`` below ``2**51``.
        frac: the number of fractional bits.

    Example:
        >>> import torch
        >>> round_straight(torch.tensor([0.125, 0.375]), 2)
        tensor([0.0000, 0.5000])
    """
    return cast(Any, _Round).apply(x, frac)
