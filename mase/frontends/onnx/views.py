"""Operators that show, move, choose or repeat elements, and those that make sizes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import from_onnx
from mase.frontends.onnx.sizes import dims_of, of_dims, sliced
from mase.frontends.onnx.value import Value, same_scale
from mase.ir.dim import Dim, Expr
from mase.ir.formats import I64
from mase.ir.ops import nn, tensor
from mase.ir.ops.shapes import broadcast
from mase.ir.types import TensorType

__all__: list[str] = []


@from_onnx("Identity", "Dropout")
def _nothing(place: Place) -> Value:
    return place.value(0)


@from_onnx("Shape")
def _shape(place: Place) -> Value:
    return of_dims(place.type(0).shape[place.get("start", 0) : place.get("end")])


@from_onnx("Size")
def _size(place: Place) -> Value:
    return of_dims([place.type(0).numel], scalar=True)


@from_onnx("Concat")
def _concat(place: Place) -> Value:
    values = [place.value(i) for i in range(len(place.inputs))]
    first = values[0]
    if any(v.format != first.format or not same_scale(v.scaled, first.scaled) for v in values):
        values = [place.carried(v) for v in values]
    return place.add(tensor.Concat(dim=place.get("axis", 0)), *values)


@from_onnx("Transpose")
def _transpose(place: Place) -> Value:
    rank = place.type(0).rank
    return place.moved(tensor.Permute(dims=tuple(place.get("perm", range(rank)[::-1]))))


@from_onnx("Flatten")
def _flatten(place: Place) -> Value:
    axis, shape = place.get("axis", 1), place.type(0).shape
    axis += len(shape) if axis < 0 else 0
    if axis == 1:
        return place.moved(tensor.Flatten())
    return _reshaped(place, (_product(shape[:axis]), _product(shape[axis:])))


@from_onnx("Reshape")
def _reshape(place: Place) -> Value:
    type, wanted = place.type(0), place.sizes(1)
    keeps = not place.get("allowzero", 0)
    target: list[Dim] = [type.shape[i] if d == 0 and keeps else d for i, d in enumerate(wanted)]
    if -1 in target:
        known = _product([d for d in target if d != -1])
        target[target.index(-1)] = type.numel // known
    return _reshaped(place, target)


def _product(sizes: Any) -> Dim:
    product: Dim = 1
    for size in sizes:
        product = product * size
    return product


def _reshaped(place: Place, shape: Any) -> Value:
    """A view; one symbolic size is left to be found, more are computed."""
    symbolic = [d for d in shape if not isinstance(d, int)]
    sizes = [-1 if isinstance(d, Expr) and len(symbolic) == 1 else d for d in shape]
    returns = place.type(0).with_shape(tuple(shape))
    return place.moved_call("aten.reshape.default", [place.value(0), sizes], returns)


@from_onnx("Squeeze", "Unsqueeze")
def _squeeze(place: Place) -> Value:
    shape = list(place.type(0).shape)
    dims = place.ints(1) if place.has(1) else [i for i, d in enumerate(shape) if d == 1]
    if place.kind == "Squeeze":
        gone = {d % len(shape) for d in dims}
        return _reshaped(place, [d for i, d in enumerate(shape) if i not in gone])
    rank = len(shape) + len(dims)
    for d in sorted(d % rank for d in dims):
        shape.insert(d, 1)
    return _reshaped(place, shape)


@from_onnx("Expand")
def _expand(place: Place) -> Value:
    type = place.type(0)
    shape = broadcast(type.shape, place.sizes(1))
    if shape == type.shape:
        return place.value(0)
    return place.moved_call("aten.expand.default", [place.value(0), list(shape)], type.with_shape(shape))


@from_onnx("Tile")
def _tile(place: Place) -> Value:
    type, repeats = place.type(0), place.ints(1)
    returns = type.with_shape(tuple(d * n for d, n in zip(type.shape, repeats, strict=True)))
    return place.moved_call("aten.repeat.default", [place.value(0), repeats], returns)


@from_onnx("Slice")
def _slice(place: Place) -> Value:
    value = place.value(0)
    starts, ends = place.sizes(1), place.sizes(2)
    axes = place.ints(3) if place.has(3) else list(range(len(starts)))
    steps = place.ints(4) if place.has(4) else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise place.error(f"a step of {step} has no form", help="steps count from 1")
        value = _cut(place, value, axis, start, end, step)
    return value


def _cut(place: Place, value: Value, axis: int, start: Dim, end: Dim, step: int = 1) -> Value:
    type = place.type_of(value)
    axis %= type.rank
    shape = list(type.shape)
    shape[axis] = sliced(shape[axis], start, end, step)
    if tuple(shape) == type.shape:
        return value
    args = [value, axis, start, end, step]
    return place.moved_call("aten.slice.Tensor", args, type.with_shape(tuple(shape)))


@from_onnx("Split")
def _split(place: Place) -> list[Value]:
    axis, count = int(place.get("axis", 0)), place.results
    size: Dim = place.type(0).shape[axis]
    parts: list[Dim] = list(place.sizes(1)) if place.has(1) else [(size + count - 1) // count] * count
    ends: list[Dim] = [0]
    for part in parts:
        ends.append(ends[-1] + part)
    if not place.has(1):
        ends[-1] = size
    return [_cut(place, place.value(0), axis, a, b) for a, b in pairwise(ends)]


@from_onnx("Gather")
def _gather(place: Place) -> Value:
    value, at = place.value(0), place.value(1)
    axis = place.get("axis", 0)
    if value.const is not None and value.const.dim() == 2 and axis == 0:
        if value.const.is_floating_point():
            return place.add(nn.Embedding(), at, roles={"weight": value})
        return Value(lookup=(value, at))
    type = place.type(0)
    axis %= type.rank
    number = dims_of(at)
    if number is not None and (at.scalar or (at.const is not None and at.const.dim() == 0)):
        returns = type.with_shape(type.shape[:axis] + type.shape[axis + 1 :])
        return place.moved_call("aten.select.int", [value, axis, number[0]], returns)
    return place.indexed(value, at, axis)


@from_onnx("GatherElements")
def _gather_elements(place: Place) -> Value:
    returns = place.type(0).with_shape(place.type(1).shape)
    args = [place.value(0), place.get("axis", 0), place.value(1)]
    return place.moved_call("aten.gather.default", args, returns)


@from_onnx("GatherND")
def _gather_nd(place: Place) -> Value:
    if place.get("batch_dims", 0):
        raise place.error("batch_dims has no form")
    type, at = place.type(0), place.type(1)
    count = at.shape[-1]
    if not isinstance(count, int):
        raise place.error(f"{count} indices for each element have no form")
    indices = at.with_shape(at.shape[:-1])
    parts = [place.call("aten.select.int", [place.value(1), -1, i], indices) for i in range(count)]
    returns = type.with_shape(indices.shape + type.shape[count:])
    return place.moved_call("aten.index.Tensor", [place.value(0), parts], returns)


@from_onnx("Range")
def _range(place: Place) -> Value:
    start, end, step = (place.sizes(i)[0] for i in range(3))
    length = (end - start + step - 1) // step if step != 1 else end - start
    return place.call("aten.arange.start_step", [start, end, step], TensorType(I64, (length,)))


@from_onnx("ConstantOfShape")
def _filled(place: Place) -> Value:
    shape = place.sizes(0)
    returns = TensorType(place.get("format"), shape)
    return place.call("aten.full.default", [list(shape), place.get("fill")], returns)


_PAD_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@from_onnx("Pad")
def _pad(place: Place) -> Value:
    type, pads, mode = place.type(0), place.ints(1), place.get("mode", "constant")
    axes = place.ints(3) if place.has(3) else list(range(type.rank))
    around = [[0, 0] for _ in range(type.rank)]
    for i, axis in enumerate(axes):
        around[axis] = [pads[i], pads[i + len(axes)]]
    shape = tuple(d + before + after for d, (before, after) in zip(type.shape, around, strict=True))
    flat = [n for pair in reversed(around) for n in pair]
    if mode == "constant":
        number = float(place.const(2)) if place.has(2) else 0.0
        return place.call(
            "aten.constant_pad_nd.default", [place.value(0), flat, number], type.with_shape(shape)
        )
    if any(flat[-4:]):
        raise place.error(f"mode {mode} in the first two dimensions has no form")
    args = [place.value(0), flat[:-4], _PAD_MODES[mode]]
    return place.moved_call("aten.pad.default", args, type.with_shape(shape))


@from_onnx("Trilu")
def _triangle(place: Place) -> Value:
    target = "aten.triu.default" if place.get("upper", 1) else "aten.tril.default"
    diagonal = place.ints(1)[0] if place.has(1) else 0
    return place.moved_call(target, [place.value(0), diagonal], place.type(0))


@from_onnx("Resize")
def _resize(place: Place) -> Value:
    type, mode = place.type(0), place.get("mode", "nearest")
    about = place.get("coordinate_transformation_mode", "half_pixel")
    if type.rank != 4 or mode not in ("nearest", "linear"):
        raise place.error(
            f"mode {mode} of {type.rank} dimensions has no form", help="images, nearest or linear"
        )
    given = place.const(2) if place.has(2) else None
    numbers: list[Any] = [] if given is None else cast(Any, given).tolist()
    scales = [float(n) for n in numbers] or None
    if scales is not None:
        sizes: list[Any] = [_scaled(d, s) for d, s in zip(type.shape, scales, strict=True)]
    else:
        sizes = list(place.sizes(3))
    if mode == "nearest":
        whole = scales is not None and all(s == int(s) for s in scales)
        floors = about == "asymmetric" and place.get("nearest_mode", "round_prefer_floor") == "floor"
        if not (whole or floors):
            raise place.error(
                "nearest: expected whole scales, or the modes asymmetric and floor, as torch has them"
            )
        args = [place.value(0), sizes[2:]]
        return place.moved_call("aten.upsample_nearest2d.default", args, type.with_shape(tuple(sizes)))
    if about not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise place.error(f"coordinate_transformation_mode {about} has no form")
    args = [place.value(0), sizes[2:], about == "align_corners"]
    return place.call("aten.upsample_bilinear2d.default", args, type.with_shape(tuple(sizes)))


def _scaled(size: Dim, by: float) -> Dim:
    return size * int(by) if by == int(by) or not isinstance(size, int) else int(size * by)
