"""Plain integers: a number is its own code."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir import MaseError
from mase.ir.formats import Code
from mase.runtime.kernels.base import Kernel, register_kernel
from mase.runtime.kernels.bits import code_type, refuse_nan

__all__ = ["CodeKernel", "smallest_type"]


def smallest_type(format: Code) -> torch.dtype:
    """The smallest integer type of torch that holds every integer of a format.

    Example:
        >>> smallest_type(Code(4)), smallest_type(Code(8, signed=False)), smallest_type(Code(21))
        (torch.int8, torch.uint8, torch.int32)
    """
    return code_type(format.code_min, format.code_max)


@register_kernel(Code)
class CodeKernel(Kernel[Code]):
    """Round half to even and saturate; integers only saturate."""

    def encode(self, x: Tensor, format: Code) -> Tensor:
        if x.is_floating_point():
            if format.width > 53:
                raise MaseError.of(f"floats cannot become {format}: float64 holds 53 bits")
            refuse_nan(x, format)
            x = x.double().round().clamp(format.min, format.max).long()
        return x.long().clamp(format.code_min, format.code_max).to(smallest_type(format))

    def decode(self, codes: Tensor, format: Code) -> Tensor:
        return codes.to(torch.float32 if format.width <= 24 else torch.float64)

    def quantize(self, x: Tensor, format: Code) -> Tensor:
        nan = x.isnan()
        return self.encode(x.masked_fill(nan, 0), format).to(x.dtype).masked_fill(nan, torch.nan)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: Code) -> Tensor:
        return gradient * ((x >= format.min) & (x <= format.max))
