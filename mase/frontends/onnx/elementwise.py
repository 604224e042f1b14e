"""Functions of elements, comparisons, choices and reductions, as ATen has them."""

from __future__ import annotations

from typing import Any

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import from_onnx
from mase.frontends.onnx.value import Value
from mase.ir.dim import Dim
from mase.ir.formats import BOOL, I64, Dtype
from mase.ir.ops import tensor
from mase.ir.ops.shapes import broadcast
from mase.ir.types import TensorType

__all__: list[str] = []

_UNARY = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "IsNaN": "isnan", "Log": "log", "Mish": "mish", "Neg": "neg", "Not": "logical_not",
    "Reciprocal": "reciprocal", "Round": "round", "Sign": "sign", "Sin": "sin", "Sqrt": "sqrt", "Tan": "tan",
}  # fmt: skip
_COMPARED = {
    "Equal": "eq.Tensor", "Greater": "gt.Tensor", "GreaterOrEqual": "ge.Tensor", "Less": "lt.Tensor",
    "LessOrEqual": "le.Tensor", "And": "logical_and.default", "Or": "logical_or.default",
    "Xor": "logical_xor.default",
}  # fmt: skip
_PAIRED = {"Max": "maximum.default", "Min": "minimum.default", "Pow": "pow.Tensor_Tensor",
           "Mod": "remainder.Tensor"}  # fmt: skip
_REDUCED = {"ReduceSum": "sum.dim_IntList", "ReduceMax": "amax.default", "ReduceMin": "amin.default"}


@from_onnx(*_UNARY)
def _unary(place: Place) -> Value:
    type = place.type(0)
    returns = type.with_format(BOOL) if place.kind in ("IsNaN", "Not") else type
    return place.call(f"aten.{_UNARY[place.kind]}.default", [place.value(0)], returns)


@from_onnx(*_COMPARED, *_PAIRED)
def _paired(place: Place) -> Value:
    target = _COMPARED.get(place.kind) or _PAIRED[place.kind]
    found = place.value(0)
    for position in range(1, len(place.inputs)):
        other = place.value(position)
        types = place.type_of(found), place.type_of(other)
        if place.kind == "Mod" and place.get("fmod", 0):
            target = "fmod.Tensor"
        returns = TensorType(types[0].format, broadcast(types[0].shape, types[1].shape))
        returns = returns.with_format(BOOL) if place.kind in _COMPARED else returns
        found = place.call(f"aten.{target}", [found, other], returns)
    return found


@from_onnx("Where")
def _chosen(place: Place) -> Value:
    types = [place.type(i) for i in range(3)]
    shape = broadcast(broadcast(types[0].shape, types[1].shape), types[2].shape)
    returns = TensorType(types[1].format, shape)
    return place.call("aten.where.self", [place.value(i) for i in range(3)], returns)


@from_onnx("PRelu")
def _prelu(place: Place) -> Value:
    x, slope = place.value(0), place.value(1)
    type = place.type(0)
    scaled = place.add(tensor.Mul(), x, slope)
    negative = place.call("aten.lt.Scalar", [x, 0.0], type.with_format(BOOL))
    return place.call("aten.where.self", [negative, scaled, x], type)


@from_onnx(*_REDUCED)
def _reduced(place: Place) -> Value:
    keep = bool(place.get("keepdims", 1))
    dims = place.ints(1) if place.has(1) else list(place.get("axes", []))
    if not dims and place.get("noop_with_empty_axes", 0):
        return place.value(0)
    type = place.type(0)
    dims = dims or list(range(type.rank))
    returns = tensor.Mean(dims=tuple(dims), keepdim=keep).infer(type)
    assert isinstance(returns, TensorType)
    return place.call(f"aten.{_REDUCED[place.kind]}", [place.value(0), dims, keep], returns)


@from_onnx("ArgMax", "ArgMin")
def _extreme(place: Place) -> Value:
    axis, keep = place.get("axis", 0), bool(place.get("keepdims", 1))
    returns = tensor.Mean(dims=(axis,), keepdim=keep).infer(place.type(0))
    assert isinstance(returns, TensorType)
    target = f"aten.{place.kind.lower()}.default"
    return place.call(target, [place.value(0), axis, keep], returns.with_format(I64))


@from_onnx("CumSum")
def _summed(place: Place) -> Value:
    if place.get("exclusive", 0) or place.get("reverse", 0):
        raise place.error("exclusive and reverse have no form")
    return place.call("aten.cumsum.default", [place.value(0), place.ints(1)[0]], place.type(0))


@from_onnx("Cast")
def _cast(place: Place) -> Value:
    format: Any = place.get("to format")
    assert isinstance(format, Dtype)
    return place.call("aten.to.dtype", [place.value(0), format], place.type(0).with_format(format))


@from_onnx("Einsum")
def _einsum(place: Place) -> Value:
    equation = str(place.get("equation")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    if "." in equation or not arrow:
        raise place.error(f"equation {equation} has no form", help="say the result, and no ellipsis")
    values = [place.value(i) for i in range(len(place.inputs))]
    sizes: dict[str, Dim] = {}
    for letters, value in zip(left.split(","), values, strict=True):
        sizes |= dict(zip(letters, place.type_of(value).shape, strict=True))
    returns = place.type(0).with_shape([sizes[letter] for letter in right])
    return place.call("aten.einsum.default", [equation, values], returns)
