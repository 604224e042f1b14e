"""One and two bits: signs, and signs with zero, times a factor."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir import MaseError
from mase.ir.formats import Binary, Ternary
from mase.runtime.kernels.base import GivenScale, ScaledKernel, register_kernel
from mase.runtime.kernels.bits import finite, gradient_between, refuse_nan, saturated
from mase.runtime.kernels.encoded import Encoded, Scale
from mase.runtime.kernels.integer import LEAST_SCALE
from mase.runtime.kernels.sharing import Sharing, check_shape

__all__ = ["BinaryKernel", "TernaryKernel"]


def _mean(sharing: Sharing, x: Tensor, counted: Tensor) -> Tensor:
    """The mean of magnitudes where ``counted``, in float64; 0 of none."""
    total = sharing.reduce(torch.sum, finite(x.double()).abs_().mul_(counted))
    return total / sharing.reduce(torch.sum, counted.double()).clamp_min_(1)


def _given_factor(scale: GivenScale, x: Tensor, format: Binary | Ternary) -> Scale:
    if not isinstance(scale, Scale):
        scale = Scale(torch.as_tensor(scale, device=x.device))
    if scale.value is None or not format.scaled:
        raise MaseError.of(f"{format} has no factor", help=f"write {type(format).__name__.lower()}<scaled>")
    check_shape(format, x.shape, scale.value, scale.threshold)
    return Scale(scale.value.detach().float(), threshold=scale.threshold)


@register_kernel(Binary)
class BinaryKernel(ScaledKernel[Binary]):
    """Code 1 where ``x >= 0``, else 0."""

    def scale_of(self, x: Tensor, format: Binary) -> Scale:
        if not format.scaled:
            return Scale()
        check_shape(format, x.shape)
        return Scale(_mean(Sharing(format.channel), x, x.isfinite()).clamp_min_(LEAST_SCALE).float())

    def given(self, scale: GivenScale, x: Tensor, format: Binary) -> Scale:
        return _given_factor(scale, x, format)

    def encode(self, x: Tensor, format: Binary, scale: Scale | None = None) -> Tensor | Encoded:
        refuse_nan(x, format)
        codes = (x >= 0).to(torch.uint8)
        return Encoded(codes, scale or self.scale_of(x, format)) if format.scaled else codes

    def decode(self, codes: Tensor | Encoded, format: Binary) -> Tensor:
        if isinstance(codes, Tensor):
            return codes.float() * 2 - 1
        return _times(codes.codes.float() * 2 - 1, codes.scale, format)

    def quantize(self, x: Tensor, format: Binary, scale: Scale | None = None) -> Tensor:
        signs = torch.where(x >= 0, 1.0, -1.0).masked_fill_(x.isnan(), torch.nan)
        return saturated(_times(signs, scale or self.scale_of(x, format), format), x.dtype)

    def pass_gradient(
        self, gradient: Tensor, x: Tensor, format: Binary, scale: Scale | None = None
    ) -> Tensor:
        return gradient_between(gradient, x, -1.0, 1.0)


@register_kernel(Ternary)
class TernaryKernel(ScaledKernel[Ternary]):
    """The sign where the magnitude exceeds the threshold, else 0."""

    def scale_of(self, x: Tensor, format: Ternary) -> Scale:
        check_shape(format, x.shape)
        sharing = Sharing(format.channel)
        threshold = (0.7 * _mean(sharing, x, x.isfinite())).float()
        if not format.scaled:
            return Scale(threshold=threshold)
        kept = x.isfinite() & (x.abs() > sharing.spread(threshold, x))
        return Scale(_mean(sharing, x, kept).clamp_min_(LEAST_SCALE).float(), threshold=threshold)

    def given(self, scale: GivenScale, x: Tensor, format: Ternary) -> Scale:
        scale = _given_factor(scale, x, format)
        if scale.threshold is not None:
            return scale
        return Scale(scale.value, threshold=self.scale_of(x, format).threshold)

    def encode(self, x: Tensor, format: Ternary, scale: Scale | None = None) -> Tensor | Encoded:
        refuse_nan(x, format)
        scale = scale or self.scale_of(x, format)
        codes = _signs(x, format, scale).to(torch.int8)
        return Encoded(codes, scale) if format.scaled else codes

    def decode(self, codes: Tensor | Encoded, format: Ternary) -> Tensor:
        if isinstance(codes, Tensor):
            return codes.float()
        return _times(codes.codes.float(), codes.scale, format)

    def quantize(self, x: Tensor, format: Ternary, scale: Scale | None = None) -> Tensor:
        scale = scale or self.scale_of(x, format)
        signs = _signs(x, format, scale).masked_fill_(x.isnan(), torch.nan)
        return saturated(_times(signs, scale, format), x.dtype)

    def pass_gradient(
        self, gradient: Tensor, x: Tensor, format: Ternary, scale: Scale | None = None
    ) -> Tensor:
        return gradient_between(gradient, x, -1.0, 1.0)


def _signs(x: Tensor, format: Ternary, scale: Scale) -> Tensor:
    assert scale.threshold is not None
    threshold = Sharing(format.channel).spread(scale.threshold, x)
    return (x > threshold).float() - (x < -threshold).float()


def _times(signs: Tensor, scale: Scale, format: Binary | Ternary) -> Tensor:
    if scale.value is None:
        return signs
    return signs * Sharing(format.channel).spread(scale.value, signs)
