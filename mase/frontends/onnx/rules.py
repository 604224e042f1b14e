"""How each operator is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import from_onnx
from mase.frontends.onnx.value import Value
from mase.ir.formats import F32, Dtype
from mase.ir.op import Op
from mase.ir.ops import conv, nn, norm, pool, tensor
from mase.ir.ops.shapes import broadcast

__all__: list[str] = []

_F64 = Dtype("f64")
_ACTIVATIONS: dict[str, type[nn.Activation]] = {
    "Relu": nn.Relu,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "Softsign": nn.Softsign,
    "HardSwish": nn.Hardswish,
    "Selu": nn.Selu,
    "Softplus": nn.Softplus,
}
_BINARY: dict[str, type[tensor.Binary]] = {
    "Add": tensor.Add,
    "Sub": tensor.Sub,
    "Mul": tensor.Mul,
    "Div": tensor.Div,
}


@from_onnx(*_ACTIVATIONS)
def _activation(place: Place) -> Value:
    return place.add(_ACTIVATIONS[place.kind](), place.value(0))


@from_onnx("Softmax", "LogSoftmax", "Gelu", "Elu", "LeakyRelu", "HardSigmoid")
def _parametrised(place: Place) -> Value:
    made: dict[str, Op] = {
        "Softmax": nn.Softmax(dim=place.get("axis", -1)),
        "LogSoftmax": nn.LogSoftmax(dim=place.get("axis", -1)),
        "Gelu": nn.Gelu(approximate=place.get("approximate", "none")),
        "Elu": nn.Elu(alpha=place.get("alpha", 1.0)),
        "LeakyRelu": nn.LeakyRelu(negative_slope=place.get("alpha", 0.01)),
        "HardSigmoid": nn.Hardsigmoid(),
    }
    if place.kind == "HardSigmoid" and abs(place.get("alpha", 0.2) - 1 / 6) > 1e-6:
        raise place.error(f"alpha is {place.get('alpha', 0.2)}, and mase has 1/6")
    return place.add(made[place.kind], place.value(0))


@from_onnx("Clip")
def _clip(place: Place) -> Value:
    low = float(place.const(1)) if place.has(1) else -float("inf")
    high = float(place.const(2)) if place.has(2) else float("inf")
    type = place.type(0)
    if type.format != F32:
        whole = not (isinstance(type.format, Dtype) and type.format.is_float)
        ends = [None if abs(k) == float("inf") else int(k) if whole else k for k in (low, high)]
        return place.call("aten.clamp.default", [place.value(0), *ends], type)
    op = nn.Relu6() if (low, high) == (0.0, 6.0) else nn.Hardtanh(min_val=low, max_val=high)
    return place.add(op, place.value(0))


@from_onnx("Gemm")
def _gemm(place: Place) -> Value:
    if place.get("transA", 0) or place.get("alpha", 1.0) != 1 or place.get("beta", 1.0) != 1:
        raise place.error("transA, alpha and beta have no form in nn.linear")
    return _linear(place, transposed=bool(place.get("transB", 0)))


@from_onnx("MatMul")
def _matmul(place: Place) -> Value:
    other = place.value(1)
    if other.const is not None and other.const.dim() == 2:
        return _linear(place, transposed=False)
    return place.add(tensor.MatMul(), place.value(0), other)


def _linear(place: Place, transposed: bool) -> Value:
    place.const(1)  # or an error
    weight = place.value(1) if transposed else place.value(1).permuted((1, 0))
    bias = place.value(2) if place.has(2) else None
    if bias is not None and (bias.const is None or bias.const.dim() != 1):
        raise place.error("a bias that is no constant vector has no form in nn.linear")
    return place.add(nn.Linear(), place.value(0), roles={"weight": weight, "bias": bias})


@from_onnx(*_BINARY)
def _binary(place: Place) -> Value:
    x, y = place.value(0), place.value(1)
    types = place.type_of(x), place.type_of(y)
    if place.kind == "Div" and isinstance(f := types[0].format, Dtype) and not f.is_float:
        returns = types[0].with_shape(broadcast(types[0].shape, types[1].shape))
        return place.call("aten.div.Tensor_mode", [x, y], returns, rounding_mode="trunc")
    if place.kind == "Add" and (merged := _bias(place, x, y) or _bias(place, y, x)):
        return merged
    return place.add(_BINARY[place.kind](), x, y)


def _bias(place: Place, x: Value, bias: Value) -> Value | None:
    """A constant vector added to a linear layer without bias is its bias."""
    node, vector = x.node, bias.const
    if node is None or vector is None or vector.dim() != 1 or x.format is not None or node.users:
        return None
    from mase.ir.ops.quantized import QuantizedOp, float_op, with_formats

    fits = (
        isinstance(float_op(node.op), nn.Linear)
        and "bias" not in node.params
        and place.uses.get(node.name, 1) < 2
    )
    if not fits or vector.shape[0] != node.tensor_type.shape[-1]:
        return None
    if isinstance(node.op, QuantizedOp):
        format = None if bias.scaled is not None else bias.format
        node.op = with_formats(node.op, node.op.formats | {"bias": format})
    key = f"{node.params['weight'].removesuffix('.weight')}.bias"
    place.graph.state[key] = vector
    node.params = {**node.params, "bias": key}
    return Value(node=node)


@from_onnx("Conv")
def _conv(place: Place) -> Value:
    weight = place.value(1)
    spatial = place.const(1).dim() - 2
    pads = place.get("pads", [0] * 2 * spatial)
    auto = place.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", b"NOTSET"):
        raise place.error(f"auto_pad {auto} has no form; write the pads")
    kinds: tuple[Any, ...] = (conv.Conv1d, conv.Conv2d, conv.Conv3d)
    op = kinds[spatial - 1](
        stride=tuple(place.get("strides", [1] * spatial)),
        padding=tuple(zip(pads[:spatial], pads[spatial:], strict=True)),
        dilation=tuple(place.get("dilations", [1] * spatial)),
        groups=place.get("group", 1),
    )
    bias = place.value(2) if place.has(2) else None
    return place.add(op, place.value(0), roles={"weight": weight, "bias": bias})


@from_onnx("ConvTranspose")
def _conv_transposed(place: Place) -> Value:
    spatial = place.const(1).dim() - 2
    pads = place.get("pads", [0] * 2 * spatial)
    if (
        pads[:spatial] != pads[spatial:]
        or place.get("output_shape")
        or place.get("auto_pad", "NOTSET") != "NOTSET"
    ):
        raise place.error("unequal pads, output_shape and auto_pad have no form", help="write equal pads")
    kinds: tuple[Any, ...] = (conv.ConvTranspose1d, conv.ConvTranspose2d, conv.ConvTranspose3d)
    op = kinds[spatial - 1](
        stride=tuple(place.get("strides", [1] * spatial)),
        padding=tuple(pads[:spatial]),
        output_padding=tuple(place.get("output_padding", [0] * spatial)),
        dilation=tuple(place.get("dilations", [1] * spatial)),
        groups=place.get("group", 1),
    )
    bias = place.value(2) if place.has(2) else None
    return place.add(op, place.value(0), roles={"weight": place.value(1), "bias": bias})


@from_onnx("MaxPool", "AveragePool")
def _pool(place: Place) -> Value:
    kernel = place.get("kernel_shape")
    spatial, pads = len(kernel), place.get("pads", [0] * 2 * len(kernel))
    if spatial > 2 or pads[:spatial] != pads[spatial:]:
        raise place.error("pools over three dimensions or with unequal pads have no op")
    shared: dict[str, Any] = {
        "kernel": tuple(kernel),
        "stride": tuple(place.get("strides", [1] * spatial)),
        "padding": tuple(pads[:spatial]),
        "ceil_mode": bool(place.get("ceil_mode", 0)),
    }
    if place.kind == "MaxPool":
        kinds: tuple[Any, ...] = (pool.MaxPool1d, pool.MaxPool2d)
        shared["dilation"] = tuple(place.get("dilations", [1] * spatial))
    else:
        kinds = (pool.AvgPool1d, pool.AvgPool2d)
        shared["count_include_pad"] = bool(place.get("count_include_pad", 0))
    return _pooled(place, kinds[spatial - 1](**shared))


@from_onnx("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(place: Place) -> Value:
    spatial = place.type(0).rank - 2
    average: tuple[Any, ...] = (pool.AdaptiveAvgPool1d, pool.AdaptiveAvgPool2d)
    largest: tuple[Any, ...] = (pool.AdaptiveMaxPool1d, pool.AdaptiveMaxPool2d)
    kinds = average if place.kind == "GlobalAveragePool" else largest
    return _pooled(place, kinds[spatial - 1](output_size=(1,) * spatial))


def _pooled(place: Place, op: Op) -> Value:
    """The largest of codes are the codes of the largest; other integers are taken to float64 and back."""
    value, type = place.value(0), place.type(0)
    if not value.codes and isinstance(type.format, Dtype) and not type.format.is_float:
        cast = place.of("Cast", [], f"{place.output}_wide")
        wide = cast.call("aten.to.dtype", [value, _F64], type.with_format(_F64))
        made = place.of(place.kind, [], f"{place.output}_of_floats").add(op, wide)
        return place.call("aten.to.dtype", [made, type.format], place.type_of(made).with_format(type.format))
    if not value.codes:
        return place.add(op, value)
    return value.of(place.node(place.add(op, replace(value, format=None))))


@from_onnx("BatchNormalization")
def _batch_norm(place: Place) -> Value:
    names = ("weight", "bias", "running_mean", "running_var")
    roles: dict[str, Value | None] = {name: place.value(i + 1) for i, name in enumerate(names)}
    count = {"num_batches_tracked": torch.zeros((), dtype=torch.int64)}
    op = norm.BatchNorm(eps=place.get("epsilon", 1e-5))
    made = place.add(op, place.value(0), roles=roles, extra=count)
    assert made.node is not None
    for role in ("running_mean", "running_var", "num_batches_tracked"):
        key = made.node.params[role]
        place.graph.state.declare(key, place.graph.state.entry(key).type, "buffer")
    return made


@from_onnx("LayerNormalization")
def _layer_norm(place: Place) -> Value:
    shape = tuple(place.const(1).shape)
    op = norm.LayerNorm(normalized_shape=shape, eps=place.get("epsilon", 1e-5))
    bias = place.value(2) if place.has(2) else None
    return place.add(op, place.value(0), roles={"weight": place.value(1), "bias": bias})


@from_onnx("RMSNormalization")
def _rms_norm(place: Place) -> Value:
    op = norm.RmsNorm(normalized_shape=tuple(place.const(1).shape), eps=place.get("epsilon", 1e-5))
    return place.add(op, place.value(0), roles={"weight": place.value(1)})


@from_onnx("InstanceNormalization", "GroupNormalization")
def _norm_of_parts(place: Place) -> Value:
    type, roles = place.type(0), {"weight": place.value(1), "bias": place.value(2)}
    eps = place.get("epsilon", 1e-5)
    if place.kind == "InstanceNormalization":
        spatial: Any = type.rank - 2
        return place.add(norm.InstanceNorm(spatial=spatial, eps=eps), place.value(0), roles=roles)
    if place.const(1).shape[0] != type.shape[1]:
        raise place.error("scales for groups, as before opset 21, have no form", help="use one a channel")
    op = norm.GroupNorm(num_groups=place.get("num_groups"), eps=eps)
    return place.add(op, place.value(0), roles=roles)


@from_onnx("ReduceMean")
def _mean(place: Place) -> Value:
    dims = tuple(place.ints(1)) if place.has(1) else tuple(place.get("axes", [])) or None
    return place.add(tensor.Mean(dims=dims, keepdim=bool(place.get("keepdims", 1))), place.value(0))
