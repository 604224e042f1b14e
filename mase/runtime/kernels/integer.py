"""Scaled integers, in the float32 operations of ONNX's ``QuantizeLinear`` and ``DequantizeLinear``.

What needs more than float32's 24 bits, widths of 25 to 32, is computed in float64 with the same scales.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mase.ir import MaseError
from mase.ir.formats import Integer
from mase.runtime.kernels.base import GivenScale, ScaledKernel, register_kernel
from mase.runtime.kernels.bits import code_type, finite, gradient_between, refuse_nan, round_units, saturated
from mase.runtime.kernels.encoded import Encoded, Scale
from mase.runtime.kernels.sharing import Sharing, check_shape

__all__ = ["LEAST_SCALE", "IntegerKernel", "exact_values", "on_grid", "sharing_of"]

LEAST_SCALE = 2.0**-126
"""The scale of nothing but zeros: the smallest normal float32."""


def _working_type(format: Integer) -> torch.dtype:
    return torch.float32 if format.width <= 24 else torch.float64


def sharing_of(format: Integer) -> Sharing:
    """Which numbers share a scale."""
    return Sharing(format.channel, format.group, format.token)


@register_kernel(Integer)
class IntegerKernel(ScaledKernel[Integer]):
    """``clip(round(x / s) + z) * s``, everything in float32 for widths of up to 24 bits."""

    def scale_of(self, x: Tensor, format: Integer) -> Scale:
        check_shape(format, x.shape)
        sharing = sharing_of(format)
        x = finite(sharing.arrange(x.to(_working_type(format))))
        low: Tensor | None = None
        if format.signed:
            span = sharing.reduce(torch.amax, x.abs_())
        else:
            span = sharing.reduce(torch.amax, x).clamp_min(0)
            if format.asym:
                low = sharing.reduce(torch.amin, x).clamp_max(0)
                span = span - low
        largest = torch.finfo(torch.float32).max / 2 ** (format.width - format.signed)
        scale = (span / max(format.code_max, 1)).clamp(LEAST_SCALE, largest).float()
        if low is None:
            return Scale(scale)
        zero_point = (-low / scale).round_().clamp(0, format.code_max)
        return Scale(scale, zero_point.to(torch.int32 if format.width < 32 else torch.int64))

    def given(self, scale: GivenScale, x: Tensor, format: Integer) -> Scale:
        if not isinstance(scale, Scale):
            scale = Scale(torch.as_tensor(scale, device=x.device))
        if scale.value is None or (scale.zero_point is not None) != format.asym:
            also = "a scale and a zero point" if format.asym else "a scale and no zero point"
            raise MaseError.of(f"{format} needs {also}", help="pass Scale(value, zero_point)")
        check_shape(format, x.shape, scale.value, scale.zero_point)
        return Scale(scale.value.detach().float(), scale.zero_point)

    def encode(self, x: Tensor, format: Integer, scale: Scale | None = None) -> Encoded:
        refuse_nan(x, format)
        scale = scale or self.scale_of(x, format)
        sharing = sharing_of(format)
        codes = _codes(sharing.arrange(x.to(_working_type(format))), format, scale)
        dtype = code_type(format.code_min, format.code_max)
        return Encoded(sharing.restore(codes.to(dtype), x.shape), scale)

    def decode(self, codes: Encoded, format: Integer) -> Tensor:
        check_shape(format, codes.codes.shape, codes.scale.value, codes.scale.zero_point)
        sharing = sharing_of(format)
        arranged = sharing.arrange(codes.codes.to(_working_type(format)))
        return sharing.restore(_values(arranged, format, codes.scale), codes.codes.shape)

    def quantize(self, x: Tensor, format: Integer, scale: Scale | None = None) -> Tensor:
        scale = scale or self.scale_of(x, format)
        sharing = sharing_of(format)
        codes = _codes(sharing.arrange(x.to(_working_type(format))), format, scale)
        return sharing.restore(saturated(_values(codes, format, scale), x.dtype), x.shape)

    def pass_gradient(
        self, gradient: Tensor, x: Tensor, format: Integer, scale: Scale | None = None
    ) -> Tensor:
        if scale is None:  # what the scale was taken from is its range
            return gradient_between(gradient, x, format.min, math.inf)
        sharing = sharing_of(format)
        arranged = sharing.arrange(x.to(_working_type(format)))
        limits = (torch.full_like(arranged[..., :1], c) for c in (format.code_min, format.code_max))
        low, high = (_values(k, format, scale) for k in limits)
        outside = sharing.restore((arranged < low) | (arranged > high), x.shape)
        return gradient.masked_fill(outside, 0)


def exact_values(x: Tensor, format: Integer, scale: Scale) -> Tensor:
    """What codes mean, in float64, which holds ``scale * code`` exactly; NaN stays NaN.

    The codes of float32 are those of `encode`; the quotient of a float64 is taken in float64.

    Args:
        x: float tensor of any shape.
        format: the format of the codes.
        scale: their scale.
    """
    sharing = sharing_of(format)
    working = torch.float64 if x.dtype == torch.float64 else _working_type(format)
    codes = _codes(sharing.arrange(x.to(working)), format, scale).double()
    return sharing.restore(_values(codes, format, scale), x.shape)


def on_grid(x: Tensor, format: Integer, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
    """The nearest numbers, where scales and zero points are spread over ``x`` already.

    Args:
        x: floats of the type that the format is computed in.
        format: the format of the codes.
        scale: of the type of ``x``; broadcasts with it.
        zero_point: likewise, if the format is ``asym``.

    Example:
        >>> on_grid(torch.tensor([0.7, 9.0]), Integer(4), torch.tensor([0.5, 1.0]))
        tensor([0.5000, 7.0000])
    """
    return _meant(_nearest(x, format, scale, zero_point), scale, zero_point)


def _codes(x: Tensor, format: Integer, scale: Scale) -> Tensor:
    """Codes as floats, in a new tensor."""
    return _nearest(x, format, *_spread(x, format, scale))


def _values(codes: Tensor, format: Integer, scale: Scale) -> Tensor:
    return _meant(codes, *_spread(codes, format, scale))


def _spread(x: Tensor, format: Integer, scale: Scale) -> tuple[Tensor, Tensor | None]:
    assert scale.value is not None
    sharing, zero = sharing_of(format), scale.zero_point
    return sharing.spread(scale.value, x).to(x.dtype), None if zero is None else sharing.spread(zero, x)


def _nearest(x: Tensor, format: Integer, scale: Tensor, zero_point: Tensor | None) -> Tensor:
    codes = round_units(x / scale, format.rounding)
    if zero_point is not None:
        codes += zero_point
    return codes.clamp(format.code_min, format.code_max)


def _meant(codes: Tensor, scale: Tensor, zero_point: Tensor | None) -> Tensor:
    values = (codes if zero_point is None else codes - zero_point) * scale
    return values.add_(0.0)  # integers know no -0
