"""QuantizeLinear, DequantizeLinear, Quant: formats of operands instead of nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from mase.frontends.onnx.codes import explicit, meant
from mase.frontends.onnx.grids import activation_format, recentred, spread, weight_format
from mase.frontends.onnx.place import Place
from mase.frontends.onnx.registry import from_onnx
from mase.frontends.onnx.value import Scaled, Value, same_scale
from mase.ir.format import Rounding
from mase.ir.formats import Fixed, Integer
from mase.ir.formats.binary import Binary
from mase.ir.graph import Node
from mase.ir.ops import nn
from mase.ir.ops.core import Input
from mase.ir.ops.signs import never_negative

__all__ = ["bipolar", "clipped_codes", "dequantize", "quant", "quantize"]

_ENDS = {
    torch.int8: (-128, 127),
    torch.uint8: (0, 255),
    torch.int16: (-(2**15), 2**15 - 1),
    torch.uint16: (0, 2**16 - 1),
    torch.int32: (-(2**31), 2**31 - 1),
}
_ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {
    "ROUND": torch.round,
    "HALF_EVEN": torch.round,
    "FLOOR": torch.floor,
    "CEIL": torch.ceil,
    "ROUND_TO_ZERO": torch.trunc,
    "DOWN": torch.trunc,
    "UP": lambda x: x.sign() * x.abs().ceil(),
    "HALF_UP": lambda x: x.sign() * (x.abs() + 0.5).floor(),
    "HALF_DOWN": lambda x: x.sign() * (x.abs() - 0.5).ceil(),
}
_ROUNDINGS: dict[str, Rounding] = {"ROUND": "half_even", "HALF_EVEN": "half_even", "FLOOR": "floor"}


@from_onnx("QuantizeLinear")
def quantize(place: Place) -> Value:
    """A value as codes, which DequantizeLinear makes a format of."""
    value, scale = place.value(0), place.const(1).float()
    zero = place.const(2) if place.has(2) else torch.zeros(scale.shape, dtype=torch.uint8)
    if zero.dtype not in _ENDS or (scale.numel() > 1 and value.node is not None):
        raise place.error(f"codes of type {zero.dtype} with {scale.numel()} scales have no format")
    low, high = _ENDS[zero.dtype]
    if value.const is not None:
        return Value(const=_codes(value.const, scale, zero, place.get("axis", 1)), key=value.key)
    before = None if value.format is None else (value.format, value.scaled)
    grid = Scaled(scale, zero.long(), low, high, place.get("axis", 1))
    return replace(value, format=None, scaled=grid, codes=True, grid_before=before)


def _codes(numbers: Tensor, scale: Tensor, zero: Tensor, axis: int) -> Tensor:
    """What QuantizeLinear makes of a constant."""
    scale, around = (spread(t, axis, numbers.dim()) for t in (scale, zero))
    low, high = _ENDS[zero.dtype]
    return ((numbers / scale).round() + around).clamp(low, high).to(zero.dtype)


@from_onnx("Clip (codes)")
def clipped_codes(place: Place) -> Value:
    """Fewer codes than their type has."""
    value = place.value(0)
    assert value.scaled is not None
    low = int(place.const(1)) if place.has(1) else value.scaled.low
    high = int(place.const(2)) if place.has(2) else value.scaled.high
    return replace(value, scaled=replace(value.scaled, low=low, high=high))


@from_onnx("DequantizeLinear")
def dequantize(place: Place) -> Value:
    """A value on a grid; constant codes are the numbers that they mean."""
    value, scale = place.value(0), place.const(1).float()
    zero = place.const(2).long() if place.has(2) else torch.zeros(scale.shape, dtype=torch.int64)
    if value.const is not None:
        return _constant(place, value, scale, zero)
    if value.lookup is not None and scale.numel() == 1:
        table, at = value.lookup
        return place.add(nn.Embedding(), at, roles={"weight": _constant(place, table, scale, zero)})
    grid, before = value.scaled, value.grid_before
    if grid is None or not value.codes:
        return meant(place, value, scale, zero)
    if not torch.equal(grid.scale.reshape(-1), scale.reshape(-1)) or not torch.equal(grid.zero_point, zero):
        return meant(place, explicit(place, value, f"{place.output}_given"), scale, zero)
    grid = recentred(grid)
    zero_code = int(grid.zero_point.reshape(-1)[0])
    floors = grid.low == zero_code  # what is negative becomes 0, which a relu did before
    format = activation_format(replace(grid, low=0) if zero_code > 0 and floors else grid)
    if format is None:
        raise place.error(f"no format has codes from {grid.low} to {grid.high}")
    scaled = None if isinstance(format, Fixed) else grid
    value = replace(value, format=None, scaled=None, codes=False, grid_before=None)
    if before is not None and (before[0] != format or not same_scale(before[1], scaled)):
        value = place.carried(replace(value, format=before[0], scaled=before[1]))
    if floors and value.node is not None and not _needs_no_relu(value.node):
        value = place.add(nn.Relu(), value)
    return replace(value, format=format, scaled=scaled)


def _needs_no_relu(node: Node) -> bool:
    """Whether a quantizer without negative codes is not one that a relu became part of."""
    return isinstance(node.op, Input) or never_negative(node)


def _constant(place: Place, value: Value, scale: Tensor, zero: Tensor) -> Value:
    codes, axis = value.const, place.get("axis", 1)
    assert codes is not None
    low, high = _ENDS[codes.dtype] if codes.dtype in _ENDS else (int(codes.min()), int(codes.max()))
    bits = place.get("bits of constant")
    if bits is not None:
        low, high = bits
    axis = axis % max(codes.dim(), 1)
    key = value.key.removesuffix("_quantized")
    if place.get("block_size"):
        scale, zero = (t.repeat_interleave(place.get("block_size"), axis) for t in (scale, zero))
        cut = [slice(0, n) for n in codes.shape]
        return Value(const=(codes - zero[tuple(cut)]).float() * scale[tuple(cut)], key=key)
    numbers = (codes.long() - spread(zero, axis, codes.dim())).float()
    weight = numbers * spread(scale, axis, codes.dim())
    return _on_grid(Value(const=weight, key=key), Scaled(scale, zero, low, high, axis), weight)


def _on_grid(value: Value, grid: Scaled, numbers: Tensor) -> Value:
    """A constant whose numbers lie on a grid."""
    format, scaled = weight_format(grid, numbers) or (None, None)
    return replace(value, const=numbers, format=format, scaled=scaled)


@from_onnx("Quant")
def quant(place: Place) -> Value:
    """QONNX's quantizer of any width."""
    value, scale, zero = place.value(0), place.const(1).float(), place.const(2)
    bits, mode = int(place.const(3)), str(place.get("rounding_mode", "ROUND"))
    signed, narrow = bool(place.get("signed", 1)), bool(place.get("narrow", 0))
    low, high = (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)
    if signed and bits == 1:
        raise place.error(
            "one signed bit means -1 and 0 to some tools, and -1 and 1 to others", help="write BipolarQuant"
        )
    axis = next((i for i, n in enumerate(scale.shape) if n > 1), 0)
    grid = Scaled(
        scale.reshape(-1) if scale.numel() > 1 else scale.reshape(()),
        zero.long().reshape(-1) if zero.numel() > 1 else zero.long().reshape(()),
        low,
        high,
        axis,
    )
    if value.const is not None:
        return _on_grid(value, grid, _quantized(place, value.const, scale, zero, grid))
    if mode == "CEIL" and _is_half(value, grid):  # a floor to halves and a ceiling: half up
        value, rounding = replace(value, format=None, scaled=None), "half_up"
    elif mode == "HALF_UP" and not signed:
        rounding = "half_up"
    elif mode in _ROUNDINGS:
        rounding = _ROUNDINGS[mode]
    else:
        raise place.error(f"no format rounds by {mode}")
    if value.format is not None:
        value = place.carried(value)
    if bool(grid.zero_point.any()):
        grid = recentred(grid)
    format = activation_format(grid, rounding)
    if format is None:
        raise place.error(f"no format has codes from {low} to {high} with {scale.numel()} scales")
    return replace(value, format=format, scaled=None if isinstance(format, Fixed) else grid)


def _quantized(place: Place, numbers: Tensor, scale: Tensor, zero: Tensor, grid: Scaled) -> Tensor:
    """What ``Quant`` makes of a constant."""
    mode = str(place.get("rounding_mode", "ROUND"))
    if mode not in _ROUNDED:
        raise place.error(f"rounding {mode} is unknown", help=f"one of {', '.join(_ROUNDED)}")
    codes = _ROUNDED[mode]((numbers.float() / scale + zero).clamp(grid.low, grid.high))
    return (codes - zero) * scale + 0.0  # integers know no -0


def _is_half(value: Value, grid: Scaled) -> bool:
    """Whether a value was rounded down to halves of a grid's steps, in 32 bits around the same zero."""
    before, halves, exact = value.format, value.scaled, activation_format(grid)
    if isinstance(before, Fixed) and isinstance(exact, Fixed):
        return before.rounding == "floor" and before.frac == exact.frac + 1
    if not isinstance(before, Integer) or before.rounding != "floor" or halves is None:
        return False
    zero = int(halves.zero_point.reshape(-1)[0]) - halves.low - 2**31
    same = zero == 2 * int(grid.zero_point.reshape(-1)[0])
    return same and torch.equal(halves.scale.reshape(-1) * 2, grid.scale.reshape(-1))


@from_onnx("BipolarQuant")
def bipolar(place: Place) -> Value:
    """The sign."""
    if float(place.const(1)) != 1.0:
        raise place.error("no format of signs has a scale other than 1")
    return replace(place.value(0), format=Binary())
