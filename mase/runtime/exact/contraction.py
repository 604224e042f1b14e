"""Linear layers, convolutions and matrix products of integers."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mase.ir.ops.exact import Conv, ConvTranspose, Linear, MatMul
from mase.runtime.exact.products import exact_product
from mase.runtime.exact.registry import execute

__all__ = ["conv", "conv_transpose", "linear", "matmul"]

_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


@execute.register(Linear)
def linear(op: Linear, data_in: Tensor, *, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``int.linear``."""
    result = exact_product(data_in - op.zero_point, weight.long(), weight.shape[1], F.linear)
    return result if bias is None else result + bias.long()


@execute.register(Conv)
def conv(op: Conv, data_in: Tensor, *, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``int.conv1d``, ``int.conv2d`` and ``int.conv3d``."""
    padded = _padded(data_in - op.zero_point, op)
    function: Any = _CONVOLUTIONS[op.base.spatial - 1]

    def convolve(x: Tensor, w: Tensor) -> Tensor:
        return function(x, w, stride=op.stride, dilation=op.dilation, groups=op.groups)

    result = exact_product(padded, weight.long(), math.prod(weight.shape[1:]), convolve)
    return result if bias is None else result + bias.long().view(-1, *(1,) * op.base.spatial)


@execute.register(ConvTranspose)
def conv_transpose(
    op: ConvTranspose, data_in: Tensor, *, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """``int.conv_transpose1d``, ``int.conv_transpose2d`` and ``int.conv_transpose3d``."""
    spatial = op.float_op.spatial
    function: Any = _TRANSPOSED[spatial - 1]

    def convolve(x: Tensor, w: Tensor) -> Tensor:
        return function(
            x,
            w,
            stride=op.stride,
            padding=op.padding,
            output_padding=op.output_padding,
            groups=op.groups,
            dilation=op.dilation,
        )

    terms = weight.shape[0] // op.groups * math.prod(weight.shape[2:])
    result = exact_product(data_in - op.zero_point, weight.long(), terms, convolve)
    return result if bias is None else result + bias.long().view(-1, *(1,) * spatial)


def _padded(x: Tensor, op: Conv) -> Tensor:
    pads = [p for pair in reversed(op.padding) for p in pair]
    if not any(pads):
        return x
    if op.padding_mode == "zeros":
        return F.pad(x, pads)
    batched = x if x.dim() == op.base.spatial + 2 else x.unsqueeze(0)
    # By floats, since torch reflects no integers; codes have at most 32 bits here.
    made = F.pad(batched.double(), pads, mode=op.padding_mode).long()
    return made if batched is x else made.squeeze(0)


@execute.register(MatMul)
def matmul(op: MatMul, data_in: Tensor, other: Tensor) -> Tensor:
    """``int.matmul``."""
    return exact_product(data_in - op.zero_point, other - op.other_zero_point, op.terms, torch.matmul)
