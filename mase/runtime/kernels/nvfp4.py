"""``nvfp4``: float32 scaling by a block's ``fp8_e4m3fn`` scale and the tensor's float32 scale."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from mase.ir import MaseError
from mase.ir.formats import NvFp4
from mase.runtime.kernels.base import GivenScale, ScaledKernel, kernel_of, register_kernel
from mase.runtime.kernels.bits import finite, gradient_between, refuse_nan, saturated
from mase.runtime.kernels.encoded import Encoded, Scale
from mase.runtime.kernels.integer import LEAST_SCALE
from mase.runtime.kernels.sharing import Sharing, check_shape

__all__ = ["NvFp4Kernel"]


@register_kernel(NvFp4)
class NvFp4Kernel(ScaledKernel[NvFp4]):
    """Elements are ``x / s`` in ``fp4_e2m1`` with ``s`` the float32 product of both scales."""

    def scale_of(self, x: Tensor, format: NvFp4) -> Scale:
        return self._scale(x, format, None)

    def _scale(self, x: Tensor, format: NvFp4, outer: Tensor | None) -> Scale:
        sharing = Sharing(block=format.block)
        largest = sharing.reduce(torch.amax, sharing.arrange(finite(x.float()).abs_()))
        if outer is None:
            whole = Sharing().reduce(torch.amax, largest)
            outer = (whole / (format.block_scale.max * format.element.max)).clamp_min_(LEAST_SCALE)
        wanted = (largest / format.element.max / outer).clamp_min_(format.block_scale.smallest)
        codes = cast(Tensor, kernel_of(format.block_scale).encode(wanted, format.block_scale))
        return Scale(codes, outer=outer)

    def given(self, scale: GivenScale, x: Tensor, format: NvFp4) -> Scale:
        if not isinstance(scale, Scale):  # the scale of the tensor, those of the blocks come from the data
            scale = Scale(outer=torch.as_tensor(scale, device=x.device))
        if scale.outer is None or scale.outer.dim():
            raise MaseError.of(f"{format} needs one scale for the tensor", help="pass Scale(outer=...)")
        if scale.value is None:
            return self._scale(x, format, scale.outer.float())
        check_shape(format, x.shape, scale.value)
        return scale

    def encode(self, x: Tensor, format: NvFp4, scale: Scale | None = None) -> Encoded:
        refuse_nan(x, format)
        scale = scale or self.scale_of(x, format)
        sharing = Sharing(block=format.block)
        blocks = sharing.arrange(x.float()) / _factor(scale, format)
        codes = cast(Tensor, kernel_of(format.element).encode(blocks, format.element))
        return Encoded(sharing.restore(codes, x.shape), scale)

    def decode(self, codes: Encoded, format: NvFp4) -> Tensor:
        check_shape(format, codes.codes.shape, codes.scale.value)
        sharing = Sharing(block=format.block)
        elements = kernel_of(format.element).decode(sharing.arrange(codes.codes), format.element)
        return sharing.restore(elements * _factor(codes.scale, format), codes.codes.shape)

    def quantize(self, x: Tensor, format: NvFp4, scale: Scale | None = None) -> Tensor:
        factor = _factor(scale or self.scale_of(x, format), format)
        sharing = Sharing(block=format.block)
        blocks = sharing.arrange(x.float()) / factor
        values = kernel_of(format.element).quantize(blocks, format.element).mul_(factor)
        return sharing.restore(saturated(values, x.dtype), x.shape)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: NvFp4, scale: Scale | None = None) -> Tensor:
        if scale is None:
            return gradient_between(gradient, x, format.min, format.max)
        sharing = Sharing(block=format.block)
        limit = _factor(scale, format) * format.element.max
        outside = sharing.arrange(x.float()).abs() > limit
        return gradient.masked_fill(sharing.restore(outside, x.shape), 0)


def _factor(scale: Scale, format: NvFp4) -> Tensor:
    """The float32 product of both scales, a row for each block."""
    assert scale.value is not None
    assert scale.outer is not None
    return (kernel_of(format.block_scale).decode(scale.value, format.block_scale) * scale.outer).unsqueeze(-1)
