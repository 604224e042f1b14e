"""Products of integers, as float64 holds them: every sum of 8-bit products is exact in it."""

from __future__ import annotations

from typing import Any

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import RULES, from_onnx
from mase.frontends.onnx.value import Value
from mase.ir.formats import Dtype
from mase.ir.ops import tensor

__all__: list[str] = []

_F64, _I32 = Dtype("f64"), Dtype("i32")


@from_onnx("MatMulInteger", "ConvInteger")
def _product(place: Place) -> Value:
    """The float operator on codes less their zero points, and its result as int32."""
    kind = "MatMul" if place.kind == "MatMulInteger" else "Conv"
    operands: list[Value | None] = [_centred(place, 0, 2), _centred(place, 1, 3)]
    inner = place.of(kind, operands, f"{place.output}_sums")
    sums: Any = RULES[kind](inner)
    type = place.type_of(sums)
    return place.call("aten.to.dtype", [sums, _I32], type.with_format(_I32))


def _centred(place: Place, position: int, zero: int) -> Value:
    value = place.value(position)
    if place.has(zero) and place.value(zero).const is None:
        return _sub(place, _wide(place, value), _wide(place, place.value(zero), "_zero"))
    by = place.const(zero).double() if place.has(zero) else None
    if value.const is not None:
        codes = value.const.double()
        if by is not None and by.dim() == 1 and position == 1 and place.kind == "ConvInteger":
            by = by.reshape(-1, *[1] * (codes.dim() - 1))
        return Value(const=codes if by is None else codes - by, key=value.key)
    wide = _wide(place, value)
    if by is None or not bool(by.any()):
        return wide
    return _sub(place, wide, Value(const=by, key=f"{place.output}_zero_point"))


def _wide(place: Place, value: Value, what: str = "") -> Value:
    type = place.type_of(value).with_format(_F64)
    return place.of("Cast", [value], f"{place.output}{what}_wide").call("aten.to.dtype", [value, _F64], type)


def _sub(place: Place, value: Value, zero: Value) -> Value:
    return place.of("Sub", [], f"{place.output}_centred").add(tensor.Sub(), value, zero)
