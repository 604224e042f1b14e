"""Blocks that share a power of two: scale the block exactly, and let the element's kernel do the rest."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from mase.ir import MaseError
from mase.ir.formats import Block, Log, Minifloat
from mase.runtime.kernels.base import GivenScale, ScaledKernel, kernel_of, register_kernel
from mase.runtime.kernels.bits import (
    finite,
    floor_log2,
    gradient_between,
    power_of_two,
    refuse_nan,
    saturated,
)
from mase.runtime.kernels.encoded import Encoded, Scale
from mase.runtime.kernels.sharing import Sharing, check_shape

__all__ = ["BlockKernel"]


@register_kernel(Block)
class BlockKernel(ScaledKernel[Block]):
    """Scales are kept as the codes of the shared exponents."""

    def scale_of(self, x: Tensor, format: Block) -> Scale:
        sharing = Sharing(block=format.block)
        largest = sharing.reduce(torch.amax, sharing.arrange(finite(x).abs_()))
        largest = largest if x.dtype == torch.float64 else largest.float()  # frexp knows no half types
        exponent = floor_log2(largest)
        if format.covers:
            exponent += (largest > power_of_two(exponent)).int()
        low, high = format.scale_range
        exponent = (exponent - format.element_exponent).clamp(low, high).masked_fill_(largest == 0, low)
        return Scale(exponent.mul_(format.scale_sign).add_(format.scale_offset).to(torch.uint8))

    def given(self, scale: GivenScale, x: Tensor, format: Block) -> Scale:
        scale = Scale(scale) if isinstance(scale, Tensor) else scale
        if not isinstance(scale, Scale) or scale.value is None or scale.value.is_floating_point():
            raise MaseError.of(f"a scale of {format} is the code of the shared exponent, as encode gives it")
        check_shape(format, x.shape, scale.value)
        return scale

    def encode(self, x: Tensor, format: Block, scale: Scale | None = None) -> Encoded:
        element = format.element
        if not isinstance(element, Minifloat) or element.special_codes[1] is None:
            refuse_nan(x, format)
        scale = scale or self.scale_of(x, format)
        sharing = Sharing(block=format.block)
        blocks = sharing.arrange(x.double()) * power_of_two(-_exponents(scale, format))
        codes = cast(Tensor, kernel_of(element).encode(blocks, element))
        return Encoded(sharing.restore(codes, x.shape), scale)

    def decode(self, codes: Encoded, format: Block) -> Tensor:
        check_shape(format, codes.codes.shape, codes.scale.value)
        sharing = Sharing(block=format.block)
        values = kernel_of(format.element).decode(sharing.arrange(codes.codes), format.element).double()
        values = values * power_of_two(_exponents(codes.scale, format))
        if format.scale_nan:
            assert codes.scale.value is not None
            is_nan = codes.scale.value == 2**format.scale_bits - 1
            values = values.masked_fill_(is_nan.unsqueeze(-1), torch.nan)
        return sharing.restore(saturated(values, torch.float32), codes.codes.shape)

    def quantize(self, x: Tensor, format: Block, scale: Scale | None = None) -> Tensor:
        dtype = _working_type(x, format, scale)
        exponent = _exponents(scale or self.scale_of(x, format), format)
        sharing = Sharing(block=format.block)
        down, up = (power_of_two(e).to(dtype) for e in (-exponent, exponent))
        blocks = sharing.arrange(x.to(dtype)) * down
        values = kernel_of(format.element).quantize(blocks, format.element) * up
        return sharing.restore(saturated(values, x.dtype), x.shape)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: Block, scale: Scale | None = None) -> Tensor:
        if scale is None:
            return gradient_between(gradient, x, format.min, format.max)
        sharing = Sharing(block=format.block)
        limit = format.element.max * power_of_two(_exponents(scale, format))
        outside = sharing.arrange(x.double()).abs_() > limit
        return gradient.masked_fill(sharing.restore(outside, x.shape), 0)


def _exponents(scale: Scale, format: Block) -> Tensor:
    """The shared exponents, a row for each block."""
    assert scale.value is not None
    return ((scale.value.int() - format.scale_offset) * format.scale_sign).unsqueeze(-1)


def _working_type(x: Tensor, format: Block, scale: Scale | None) -> torch.dtype:
    """float32 where scaling in it is exact, or loses only what rounds to zero anyway."""
    narrow = (
        x.dtype != torch.float64
        and scale is None
        and format.scale_range[0] >= -127
        and format.scale_range[1] <= 128
        and format.rounding != "floor"  # for which the smallest negative number is not zero
        and not isinstance(format.element, Log)  # which has no zero
    )
    return torch.float32 if narrow else torch.float64
