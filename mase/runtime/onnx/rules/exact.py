"""The dialect ``int``: values in the machine integers that hold them, moved and clipped as they are."""

from __future__ import annotations

import numpy as np

from mase.ir import F32, Dtype, Fixed, TensorType
from mase.ir.formats import Integer
from mase.ir.ops import exact, nn, pool, tensor
from mase.ir.ops.exact import is_integer
from mase.runtime.onnx.integers import F64, carrier, centred, less, machine, stored_weight
from mase.runtime.onnx.registry import to_onnx, to_onnx_exact
from mase.runtime.onnx.site import Site, Value

__all__ = [
    "add",
    "concat",
    "constant",
    "dequantize",
    "embedding",
    "max_pool",
    "mul",
    "quantize",
    "relu",
    "scale",
    "total",
]


_I32 = Dtype("i32")


@to_onnx_exact.register(exact.Quantize)
def quantize(op: exact.Quantize, site: Site) -> str:
    """``int.quantize``: in float64 by a power of two, or in float32 by a scale, as the format defines it."""
    format, x = op.format, site.input(0)
    if isinstance(format, Fixed):
        x = site.emit("Mul", site.cast(x, F64), site.number(2.0**format.frac, F64))
        wide = F64
    else:
        assert isinstance(format, Integer)
        x, wide = site.emit("Div", x, site.param("scale")), F32
    x = rounded(site, x, format.rounding, wide)
    if site.has("zero_point"):
        zero = site.constant(site.array("zero_point").astype(wide.torch_name), "zero")
        x = site.emit("Add", x, zero)
    bounds = (site.number(float(k), wide) for k in (format.code_min, format.code_max))
    return site.cast(site.emit("Clip", x, *bounds), carrier(site.result))


def rounded(site: Site, value: str, rounding: str, wide: Dtype) -> str:
    """A float value as a whole number."""
    if rounding == "half_even":
        return site.emit("Round", value)
    if rounding == "half_up":
        value = site.emit("Add", value, site.number(0.5, wide))
    return site.emit("Floor", value)


@to_onnx_exact.register(exact.Dequantize)
def dequantize(op: exact.Dequantize, site: Site) -> str:
    """``int.dequantize``, in float64."""
    x = less(site, site.cast(site.input(0), F64), op.zero_point, F64)
    if site.has("scales"):
        shape = [1] * site.rank()
        shape[op.axis] = -1
        scales = site.array("scales").astype(np.float64).reshape(shape)
        x = site.emit("Mul", x, site.constant(scales, "scales"))
    elif op.scale != 1:
        x = site.emit("Mul", x, site.number(op.scale, F64))
    return site.cast(x, op.dtype)


@to_onnx_exact.register(exact.Constant)
def constant(op: exact.Constant, site: Site) -> str:
    """``int.constant``."""
    return site.constant(site.array("value").astype(carrier(site.result).torch_name), "value")


@to_onnx_exact.register(exact.Add)
def add(op: exact.Add, site: Site) -> str:
    """``int.add``."""
    x = _times(site, centred(site, 0, op.zero_point), op.factor)
    y = _times(site, centred(site, 1, op.other_zero_point), op.other_factor)
    return site.emit("Add", x, y)


@to_onnx_exact.register(exact.Mul)
def mul(op: exact.Mul, site: Site) -> str:
    """``int.mul``."""
    return site.emit("Mul", centred(site, 0, op.zero_point), centred(site, 1, op.other_zero_point))


@to_onnx_exact.register(exact.Scale)
def scale(op: exact.Scale, site: Site) -> str:
    """``int.scale``."""
    dtype = carrier(site.result).torch_name
    value = centred(site, 0, 0)
    if site.has("factors"):
        value = site.emit("Mul", value, site.constant(site.array("factors").astype(dtype), "factors"))
    else:
        value = _times(site, value, op.factor)
    if site.has("bias"):
        value = site.emit("Add", value, site.constant(site.array("bias").astype(dtype), "bias"))
    return value


def _times(site: Site, value: str, factor: int) -> str:
    return value if factor == 1 else site.emit("Mul", value, machine(site, factor))


@to_onnx_exact.register(exact.Sum)
def total(op: exact.Sum, site: Site) -> str:
    """``int.sum``; of few bits in int32, for ReduceSum takes no int8."""
    axes = None if op.dims is None else site.ints(*op.dims)
    if carrier(site.result).bits > 8:
        return site.emit("ReduceSum", centred(site, 0, op.zero_point), axes, keepdims=int(op.keepdim))
    codes = less(site, site.cast(site.input(0), _I32), op.zero_point, _I32)
    return site.cast(site.emit("ReduceSum", codes, axes, keepdims=int(op.keepdim)), carrier(site.result))


@to_onnx_exact.register(exact.Embedding)
def embedding(op: exact.Embedding, site: Site) -> str:
    """``int.embedding``."""
    if op.format.width > 8:  # a Gather takes any width, unlike the products
        table = site.param("weight")
    else:
        table, _ = stored_weight(site, unsigned=False)
    rows = site.emit("Gather", table, site.input(0), axis=0)
    return site.cast(rows, carrier(site.result))


# -- ops of the float levels, on integers ---------------------------------------------------


@to_onnx_exact.register(nn.Relu)
def relu(op: nn.Relu, site: Site) -> str:
    """``nn.relu`` of integers or floats."""
    if not is_integer(site.type(0)):
        return str(to_onnx(op, site))
    return site.emit("Clip", site.input(0), machine(site, 0))


@to_onnx_exact.register(pool.MaxPool, pool.AdaptiveMaxPool1d, pool.AdaptiveMaxPool2d)
def max_pool(op: pool.MaxPool | pool.AdaptivePool, site: Site) -> str:
    """Max-pools; those of wide integers in float64."""
    type = carrier(site.result)
    if type.bits == 8:
        return str(to_onnx(op, site))
    wide = site.cast(site.input(0), F64)
    return site.cast(str(to_onnx(op, site.of(inputs=(wide,)))), type)


@to_onnx_exact.register(tensor.Concat)
def concat(op: tensor.Concat, site: Site) -> Value:
    """``tensor.concat`` of integers of perhaps unequal widths."""
    if not isinstance(site.node.type, TensorType) or not is_integer(site.node.type):
        return to_onnx(op, site)
    wanted = carrier(site.result)
    parts = [
        value if carrier(node.tensor_type) == wanted else site.cast(value, wanted)
        for value, node in zip(site.inputs, site.node.inputs, strict=True)
    ]
    return site.emit("Concat", *parts, axis=op.dim)
