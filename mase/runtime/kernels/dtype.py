"""Machine element types as number formats: quantizing is casting, integers saturate."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir import Dtype, MaseError
from mase.runtime.kernels.base import Kernel, register_kernel

__all__ = ["DtypeKernel", "torch_dtype"]

_CODES = {16: torch.int16, 32: torch.int32, 64: torch.int64}


def torch_dtype(format: Dtype) -> torch.dtype:
    """The type of torch that ``format`` is.

    Example:
        >>> torch_dtype(Dtype("bf16"))
        torch.bfloat16
    """
    return getattr(torch, format.torch_name)


@register_kernel(Dtype)
class DtypeKernel(Kernel[Dtype]):
    """Floats round as a cast does and their codes are their bits; an integer is its own code."""

    def encode(self, x: Tensor, format: Dtype) -> Tensor:
        dtype = torch_dtype(format)
        if format.is_float:
            return x.to(dtype).view(_CODES[format.bits])
        if bool(x.isnan().any()):
            raise MaseError.of(f"NaN has no code in {format}")
        return x != 0 if format.name == "bool" else _integers(x, dtype)

    def decode(self, codes: Tensor, format: Dtype) -> Tensor:
        if format.is_float:
            values = codes.view(torch_dtype(format))
            return values if format.bits == 64 else values.float()
        return codes.to(torch.float32 if format.bits <= 16 else torch.float64)

    def quantize(self, x: Tensor, format: Dtype) -> Tensor:
        if format.is_float:
            return x.to(torch_dtype(format)).to(x.dtype)
        nan = x.isnan()
        return self.encode(x.masked_fill(nan, 0), format).to(x.dtype).masked_fill(nan, torch.nan)

    def pass_gradient(self, gradient: Tensor, x: Tensor, format: Dtype) -> Tensor:
        if format.is_float:
            return gradient
        return gradient * ((x >= format.min) & (x <= format.max))


def _integers(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Round half to even and saturate; the largest 64-bit integers are no floats, hence the comparison."""
    info = torch.iinfo(dtype)
    rounded = x.double().round()
    inside = (rounded >= info.min) & (rounded < float(info.max) + (float(info.max) == info.max))
    codes = rounded.masked_fill(~inside, 0).to(dtype)
    limit = torch.where(rounded < 0, info.min, info.max).to(dtype)
    return torch.where(inside, codes, limit)
