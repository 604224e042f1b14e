"""Floats to codes at the inputs of a graph, codes to floats at its outputs."""

from __future__ import annotations

from torch import Tensor

from mase.ir.ops.exact import Constant, Dequantize, Quantize
from mase.runtime.exact.registry import execute
from mase.runtime.kernels import Encoded, Scale, encode
from mase.runtime.kernels.dtype import torch_dtype

__all__ = ["constant", "dequantize", "quantize"]


@execute.register(Quantize)
def quantize(
    op: Quantize, data_in: Tensor, *, scale: Tensor | None = None, zero_point: Tensor | None = None
) -> Tensor:
    """``int.quantize``: NaN is an error, infinities saturate."""
    found = encode(data_in, op.format, None if scale is None else Scale(scale, zero_point))
    return (found.codes if isinstance(found, Encoded) else found).long()


@execute.register(Dequantize)
def dequantize(op: Dequantize, data_in: Tensor, *, scales: Tensor | None = None) -> Tensor:
    """``int.dequantize``."""
    real = (data_in - op.zero_point).double()
    if scales is not None:
        shape = [1] * data_in.dim()
        shape[op.axis] = -1
        real = real * scales.double().view(shape)
    return (real * op.scale).to(torch_dtype(op.dtype))


@execute.register(Constant)
def constant(op: Constant, *, value: Tensor) -> Tensor:
    """``int.constant``."""
    return value.long()
