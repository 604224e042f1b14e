"""Operators on codes (``QLinearConv``, ``QGemm``, ...): float operators between quantizers, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import RULES, from_onnx
from mase.frontends.onnx.value import Value

__all__: list[str] = []

_ONE = {
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSigmoid": "Sigmoid",
    "QLinearSoftmax": "Softmax",
}
_TWO = {"QLinearAdd": "Add", "QLinearMul": "Mul"}


@from_onnx("QLinearConv", "QLinearMatMul", "QGemm")
def _product(place: Place) -> Value:
    """Operands of codes, scales and zero points; a bias in units of the product of both scales."""
    gemm = place.kind == "QGemm"
    axis = (1 - int(place.get("transB", 0))) if gemm else 0 if place.kind == "QLinearConv" else -1
    x, weight = _numbers(place, 0), _numbers(place, 3, axis)
    bias, result = (6, 7) if gemm else (8, 6)
    operands: list[Value | None] = [x, weight]
    if place.has(bias):
        scale = place.const(1).float().reshape(-1) * place.const(4).float().reshape(-1)
        codes: Tensor = place.const(bias)
        operands.append(Value(const=codes.float() * scale, key=_name(place.value(bias))))
    kind = "Gemm" if gemm else place.kind.removeprefix("QLinear")
    if kind == "MatMul" and place.value(3).const is None:
        weight = _numbers(place, 3)
    return _coded(place, kind, operands, result)


@from_onnx(*_ONE)
def _of_one(place: Place) -> Value:
    if place.get("channels_last", 0):
        raise place.error("channels_last has no form; write channels first")
    return _coded(place, _ONE[place.kind], [_numbers(place, 0)], 3)


@from_onnx(*_TWO)
def _of_two(place: Place) -> Value:
    return _coded(place, _TWO[place.kind], [_numbers(place, 0), _numbers(place, 3)], 6)


@from_onnx("QLinearConcat")
def _concat(place: Place) -> Value:
    """The scale of the result comes first."""
    values: list[Value | None] = [_numbers(place, at) for at in range(2, len(place.inputs), 3)]
    return _coded(place, "Concat", values, 0)


def _numbers(place: Place, at: int, axis: int = 1) -> Value:
    """What an operand of codes means by the scale and the zero point that follow it."""
    inner = place.of("DequantizeLinear", place.inputs[at : at + 3], f"{place.output}_operand{at}")
    value = RULES["DequantizeLinear"](_with(inner, {"axis": axis}))
    assert isinstance(value, Value)
    return replace(value, key=_name(value)) if value.const is not None else value


def _coded(place: Place, kind: str, operands: list[Value | None], scale: int) -> Value:
    """The result of the float operator as codes; as it is where no scale is given."""
    attributes = {k: v for k, v in place.attributes.items() if k not in ("opset", "channels_last")}
    made = RULES[kind](_with(place.of(kind, operands, place.output), attributes))
    assert isinstance(made, Value)
    if not place.has(scale):
        return made
    codes = RULES["QuantizeLinear"](
        place.of("QuantizeLinear", [made, *place.inputs[scale : scale + 2]], place.output)
    )
    assert isinstance(codes, Value)
    return codes


def _with(place: Place, attributes: Mapping[str, Any]) -> Place:
    return replace(place, attributes=attributes)


def _name(value: Value) -> str:
    """What a constant was called before it became codes."""
    return value.key.removesuffix("_quantized")
