"""Fake quantization as ops of torch, ``torch.ops.mase.*``: what compiled and exported graphs hold.

One op serves all formats, by their text: ``mase.fake_quantize(x, 'fixed<8,4>', True)``. torch does not look
inside, so that compiled code runs the same kernels as eager code and gives the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mase.runtime.kernels.base import as_format, quantize
from mase.runtime.kernels.ste import pass_gradient

__all__ = ["fake_quantize_op", "pass_gradient_op"]

_LIBRARY: Any = torch.library  # its decorators have no complete types


@_LIBRARY.custom_op("mase::fake_quantize", mutates_args=())
def fake_quantize_op(x: Tensor, format: str, clip_grad: bool) -> Tensor:
    """`mase.runtime.kernels.fake_quantize` for a format's text."""
    return _own(quantize(x, format), x)


@_LIBRARY.custom_op("mase::pass_gradient", mutates_args=())
def pass_gradient_op(gradient: Tensor, x: Tensor, format: str) -> Tensor:
    """`mase.runtime.kernels.pass_gradient` for a format's text."""
    return _own(pass_gradient(gradient, x, as_format(format)), gradient)


def _own(result: Tensor, x: Tensor) -> Tensor:
    """``result`` in memory of its own, laid out as its fake says."""
    if result is not x and result.stride() == torch.empty_like(x, device="meta").stride():
        return result
    return torch.empty_like(x).copy_(result)


@fake_quantize_op.register_fake
def _(x: Tensor, format: str, clip_grad: bool) -> Tensor:
    return torch.empty_like(x)


@pass_gradient_op.register_fake
def _(gradient: Tensor, x: Tensor, format: str) -> Tensor:
    return torch.empty_like(gradient)


def _setup(ctx: Any, inputs: tuple[Tensor, str, bool], output: Tensor) -> None:
    x, ctx.format, ctx.clip_grad = inputs
    if ctx.clip_grad:
        ctx.save_for_backward(x)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    if ctx.clip_grad:
        gradient = pass_gradient_op(gradient, *ctx.saved_tensors, ctx.format)
    return gradient, None, None


fake_quantize_op.register_autograd(_backward, setup_context=_setup)


@_LIBRARY.register_vmap("mase::fake_quantize")
def _(info: Any, in_dims: Any, x: Tensor, format: str, clip_grad: bool) -> tuple[Tensor, int]:
    # One by one, because the dimensions of a format's channels and blocks are those of a single element.
    return torch.stack([fake_quantize_op(one, format, clip_grad) for one in x.unbind(in_dims[0])]), 0
