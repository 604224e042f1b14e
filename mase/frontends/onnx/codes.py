"""Codes where an operator takes them as numbers, and scales that are computed from what comes in."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import from_onnx
from mase.frontends.onnx.value import Value
from mase.ir.formats import BOOL, F32, Dtype
from mase.ir.ops.tensor import Mul, Sub
from mase.ir.types import TensorType

__all__ = ["explicit", "meant", "takes_codes"]

_TYPES = {(-128, 127): "i8", (0, 255): "u8", (-(2**15), 2**15 - 1): "i16"}
# fmt: off
_MOVES = frozenset({
    "Dropout", "Expand", "Flatten", "GlobalMaxPool", "Identity", "MaxPool", "Reshape", "Shape", "Size",
    "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
})
# fmt: on


def takes_codes(kind: str) -> bool:
    """Whether a rule knows what to do with codes: it asks for their grid, or it moves and chooses elements.

    Example:
        >>> takes_codes("DequantizeLinear"), takes_codes("Reshape"), takes_codes("MatMulInteger")
        (True, True, False)
    """
    return (
        kind in _MOVES
        or kind in ("Clip (codes)", "DequantizeLinear")
        or kind.startswith(("QLinear", "QGemm"))
    )


def explicit(place: Place, value: Value, name: str) -> Value:
    """The codes of a value, computed as numbers.

    Args:
        place: the operator that takes them.
        value: codes of one scale.
        name: what the codes are called.
    """
    grid, before = value.scaled, value.grid_before
    assert grid is not None
    plain = replace(value, format=None, scaled=None, codes=False, grid_before=None)
    if before is not None:
        plain = place.carried(replace(plain, format=before[0], scaled=before[1]))
    scale = Value(const=grid.scale.reshape(()), key=f"{name}_scale")
    zero = Value(const=grid.zero_point.float().reshape(()), key=f"{name}_zero_point")
    return _codes(place, plain, scale, zero, (grid.low, grid.high), name)


def meant(place: Place, codes: Value, scale: Tensor, zero: Tensor) -> Value:
    """What integers that were computed, or come in, mean by a scale and a zero point.

    Args:
        place: the DequantizeLinear.
        codes: integers of any type.
        scale: float32, of one number or one for each index of the operator's axis.
        zero: integers shaped as ``scale``.
    """
    type = place.type_of(codes).with_format(F32)
    shape = [1] * type.rank
    if scale.numel() > 1:
        shape[place.get("axis", 1) % type.rank] = -1
    found = place.of(place.kind, [], f"{place.output}_wide").call("aten.to.dtype", [codes, F32], type)
    if bool(zero.any()):
        by = Value(const=zero.float().reshape(shape), key=f"{place.output}_zero_point")
        found = place.of(place.kind, [], f"{place.output}_centred").add(Sub(), found, by)
    return place.add(Mul(), found, Value(const=scale.reshape(shape), key=f"{place.output}_scale"))


def _codes(place: Place, x: Value, scale: Value, zero: Value, ends: tuple[int, int], name: str) -> Value:
    type = place.type_of(x)

    def step(what: str) -> Place:
        return place.of("QuantizeLinear", [], f"{name}_{what}")

    found = step("steps").call("aten.div.Tensor", [x, scale], type)
    found = step("rounded").call("aten.round.default", [found], type)
    found = step("moved").call("aten.add.Tensor", [found, zero], type)
    found = step("clipped").call("aten.clamp.default", [found, *ends], type)
    integers = Dtype(_TYPES.get(ends, "i32"))
    return step("codes").call("aten.to.dtype", [found, integers], type.with_format(integers))


@from_onnx("DynamicQuantizeLinear")
def _dynamic(place: Place) -> list[Value]:
    """Codes, scale and zero point by the range of the operand, as the standard defines them."""
    x = place.carried(place.value(0))
    number = TensorType(place.type_of(x).format, ())

    def step(what: str, target: str, *args: object) -> Value:
        returns = number.with_format(BOOL) if target == "aten.eq.Scalar" else number
        return place.of(place.kind, [], f"{place.output}_{what}").call(target, list(args), returns)

    def constant(value: float, what: str) -> Value:
        return Value(const=torch.tensor(value), key=f"{place.output}_{what}")

    low = step("low", "aten.clamp.default", step("least", "aten.amin.default", x, []), None, 0)
    high = step("high", "aten.clamp.default", step("largest", "aten.amax.default", x, []), 0, None)
    span = step("span", "aten.sub.Tensor", high, low)
    steps = step("share", "aten.div.Tensor", span, constant(255.0, "levels"))
    empty = step("empty", "aten.eq.Scalar", span, 0)
    scale = step("scale", "aten.where.self", empty, constant(1.0, "one"), steps)
    below = step("below", "aten.neg.default", step("least_steps", "aten.div.Tensor", low, scale))
    zero = step("zero", "aten.clamp.default", step("zero_rounded", "aten.round.default", below), 0, 255)
    codes = _codes(place, x, scale, zero, (0, 255), place.output)
    type = number.with_format(Dtype("u8"))
    whole = place.of(place.kind, [], f"{place.output}_zero_point").call(
        "aten.to.dtype", [zero, type.format], type
    )
    return [codes, scale, whole]
