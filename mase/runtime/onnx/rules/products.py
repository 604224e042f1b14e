"""Integer products: MatMulInteger and ConvInteger where operands have 8 bits, else wider arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from mase.ir import F32, I64, Dtype
from mase.ir.ops import exact
from mase.runtime.onnx.integers import carrier, is_narrow, less, stored_weight
from mase.runtime.onnx.registry import to_onnx_exact
from mase.runtime.onnx.rules.conv import batched, emit_transposed, padded, squeezed
from mase.runtime.onnx.site import Site

__all__ = ["conv", "conv_transpose", "linear", "matmul", "window_sum"]

_I32 = Dtype("i32")
_F32_BITS = 25  # of a signed integer that float32 holds


@to_onnx_exact.register(exact.Linear)
def linear(op: exact.Linear, site: Site) -> str:
    """``int.linear``."""
    x = carrier(site.type(0))
    if is_narrow(site):
        weight, zero = stored_weight(site, unsigned=x.name == "u8", order=(1, 0))
        zeros = _zero(site, op.zero_point, x), _zero(site, zero, x)
        return _biased(site, site.emit("MatMulInteger", site.input(0), weight, *zeros))
    weight = site.constant(site.array("weight").T.astype(np.int64), "weight")
    return _biased(site, site.emit("MatMul", _wide(site, 0, op.zero_point), weight), wide=True)


@to_onnx_exact.register(exact.MatMul)
def matmul(op: exact.MatMul, site: Site) -> str:
    """``int.matmul``."""
    x, y = carrier(site.type(0)), carrier(site.type(1))
    if (x, y) in ((x, x), (Dtype("i8"), Dtype("u8"))) and x.bits == y.bits == 8 and op.width <= 32:
        zeros = _zero(site, op.zero_point, x), _zero(site, op.other_zero_point, y)
        return _accumulated(site, site.emit("MatMulInteger", *site.inputs[:2], *zeros))
    wide = _wide(site, 0, op.zero_point), _wide(site, 1, op.other_zero_point)
    return site.cast(site.emit("MatMul", *wide), carrier(site.result))


@to_onnx_exact.register(exact.Conv)
def conv(op: exact.Conv, site: Site) -> str:
    """``int.conv1d``, ``int.conv2d`` and ``int.conv3d``."""
    spatial, type = op.float_op.spatial, carrier(site.type(0))
    attributes: dict[str, Any] = {
        "kernel_shape": list(site.tensor("weight").shape[2:]),
        "strides": list(op.stride),
        "dilations": list(op.dilation),
        "group": op.groups,
    }
    x, pads = padded(op.float_op, site, batched(site, site.input(0), spatial))
    if is_narrow(site):
        weight, zero = stored_weight(site, unsigned=type.name == "u8")
        zeros = _zero(site, op.zero_point, type), _zero(site, zero, type)
        result = _biased(site, site.emit("ConvInteger", x, weight, *zeros, pads=pads, **attributes), spatial)
    elif op.width <= _F32_BITS:
        x = site.emit("Sub", site.cast(x, F32), site.number(float(op.zero_point), F32))
        weight = site.constant(site.array("weight").astype(np.float32), "weight")
        sums = site.cast(site.emit("Conv", x, weight, pads=pads, **attributes), I64)
        result = _biased(site, sums, spatial, wide=True)
    else:
        raise site.error(
            f"a convolution of {site.type(0).format} in {op.width} bits has no exact form in ONNX",
            help="ConvInteger takes operands and weights of 8 bits; float32 holds sums of up to 25",
        )
    return squeezed(site, result, spatial)


@to_onnx_exact.register(exact.ConvTranspose)
def conv_transpose(op: exact.ConvTranspose, site: Site) -> str:
    """``int.conv_transpose1d`` to ``3d``, in float32, for there is none of integers."""
    spatial = op.float_op.spatial
    if op.width > _F32_BITS:
        raise site.error(
            f"a transposed convolution in {op.width} bits has no exact form in ONNX",
            help="float32 holds sums of up to 25 bits",
        )
    x = less(site, site.cast(batched(site, site.input(0), spatial), F32), op.zero_point, F32)
    weight = site.constant(site.array("weight").astype(np.float32), "weight")
    sums = site.cast(emit_transposed(op.float_op, site, x, weight), I64)
    return squeezed(site, _biased(site, sums, spatial, wide=True), spatial)


@to_onnx_exact.register(exact.WindowSum)
def window_sum(op: exact.WindowSum, site: Site) -> str:
    """``int.window_sum``: a convolution of every channel with ones."""
    if op.width > _F32_BITS or op.ceil_mode:
        raise site.error("sums of windows beyond 25 bits, or with ceil_mode, have no form in ONNX")
    alone = site.rank() == 3  # then what the windows do not go over is a batch of one channel
    channels = 1 if alone else site.fixed(site.type(0).shape[-3:-2], "channels of a pool")[0]
    x = site.emit("Unsqueeze", site.input(0), site.ints(1)) if alone else site.input(0)
    x = less(site, site.cast(x, F32), op.zero_point, F32)
    ones = site.constant(np.ones((channels, 1, *op.kernel), np.float32), "ones")
    sums = site.emit(
        "Conv",
        x,
        ones,
        kernel_shape=list(op.kernel),
        strides=list(op.stride),
        pads=list(op.padding) * 2,
        group=channels,
    )
    sums = site.cast(sums, carrier(site.result))
    return site.emit("Squeeze", sums, site.ints(1)) if alone else sums


def _zero(site: Site, value: int, type: Dtype) -> str | None:
    """A zero point, left out if it is 0: onnxruntime fails where optimised nodes share one."""
    return site.number(value, type) if value else None


def _wide(site: Site, position: int, zero_point: int) -> str:
    return less(site, site.cast(site.input(position), I64), zero_point, I64)


def _accumulated(site: Site, value: str, wide: bool = False) -> str:
    """An int32 result, or if ``wide`` one of int64, in the type of the node's value."""
    wanted = carrier(site.result)
    return value if wanted == (I64 if wide else _I32) else site.cast(value, wanted)


def _biased(site: Site, value: str, spatial: int = 0, wide: bool = False) -> str:
    """Plus the bias, which lies in the last dimension or before the spatial ones."""
    if site.has("bias"):
        bias = site.array("bias").astype(np.int64 if wide else np.int32)
        value = site.emit("Add", value, site.constant(bias.reshape(-1, *[1] * spatial), "bias"))
    return _accumulated(site, value, wide)
