"""Quantizers as QuantizeLinear and DequantizeLinear, in the forms that runtimes fuse into integer kernels.

Each DequantizeLinear has its zero point as an input. Codes of fewer bits than their element type are
clipped between the two (QCDQ). Negative numbers that a relu would make 0 are those that an unsigned
quantizer makes 0, so that no Relu stands between a layer and its quantizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from mase.ir import Fixed, Format
from mase.ir.formats import Integer
from mase.runtime.onnx.builder import Builder
from mase.runtime.onnx.codes import Codes, activation_scale, bias_codes, codes_of
from mase.runtime.onnx.site import Sign, Site

__all__ = ["QdqQuantizers"]

_REMEDY = 'format="qonnx" takes any width and rounding'


@dataclass(frozen=True)
class _Grid:
    """The numbers of a quantizer: codes from ``low`` to ``high`` with a scale, as bytes, and a zero point."""

    scale: bytes
    zero: int
    low: int
    high: int

    def moved(self, by: int) -> _Grid:
        """The same numbers by other codes."""
        return _Grid(self.scale, self.zero + by, self.low + by, self.high + by)

    def holds(self, other: _Grid) -> bool:
        """Whether the other's numbers are all of this grid."""
        same = (self.scale, self.zero) == (other.scale, other.zero)
        return same and self.low <= other.low and other.high <= self.high


class QdqQuantizers:
    """Standard ONNX quantizers.

    Args:
        pack: whether weights of up to 4 bits are stored as INT4. Files are smaller, but runtimes that have
            no kernel for them compute such layers in float.
        unsigned: whether signed activations are written as unsigned codes around 128 (of 16 bits: 32768),
            which mean the same numbers. Where all operands have one element type, onnxruntime runs sums and
            layers in integers, and its kernels for CPUs prefer this one.
    """

    kind = "qdq"
    floors = True

    def __init__(self, pack: bool = False, unsigned: bool = False) -> None:
        self._pack, self._unsigned = pack, unsigned

    # -- activations ------------------------------------------------------------------------

    def activation(self, site: Site, role: str, value: str, format: Format, sign: Sign = "any") -> str:
        """A value through QuantizeLinear, Clip where codes are narrower, and DequantizeLinear."""
        format = _rounds_to_even(site, role, format)
        scale, zero = activation_scale(site, role, format)
        grid, grids = _Grid(scale.tobytes(), zero, format.code_min, format.code_max), site.builder.grids
        if self._unsigned and format.signed:
            grid = grid.moved(2 ** (7 if format.width <= 8 else 15))
        if sign == "floor":
            grid = replace(grid, low=max(grid.low, grid.zero))
        if value in grids and grid.holds(grids[value]):
            return value
        before = _grid_of(site.builder, value)
        again = _is_dequantized(site.builder, value)
        if before is not None and grid.holds(before):  # only moved: the same codes once more
            grid, again = before, False
        elif sign == "positive" and (again or (grid.low, grid.high) not in _RANGES.values()):
            grid = replace(grid, low=max(grid.low, grid.zero))  # one element type is what kernels fuse

        def make() -> str:
            element = _element(site, role, grid.low, grid.high)
            clips = again or (grid.low, grid.high) != _RANGES[element]
            return _print(site, value, scale, grid, element, clips)

        result = site.builder.once(("qdq", value, grid), make)
        grids[result] = grid
        return result

    # -- parameters -------------------------------------------------------------------------

    def weight(self, site: Site, role: str, format: Format | None, order: Sequence[int] | None) -> str | None:
        """Integer codes and DequantizeLinear; a bias as int32 at the scale of the products."""
        codes = bias_codes(site) if role == "bias" else None
        if codes is None:
            if format is None:
                return None
            codes = codes_of(site, role, format)
        codes = codes.ordered(None if order is None else tuple(order))
        known = ("weight", site.key(role), codes.scale.tobytes(), codes.low, codes.codes.shape)
        return site.builder.once(
            known, lambda: self.dequantized(site, role, codes, self.stored(site, role, codes))
        )

    def dequantized(self, site: Site, role: str, codes: Codes, stored: str) -> str:
        """Stored codes, or some of them, as numbers.

        Scale and zero point are no one else's: onnxruntime's optimiser replaces them in place.
        """
        element, key, constant = self._stored(codes), site.key(role), site.builder.constant
        zero_point = _as_array(codes.zero_point, element)
        return site.emit(
            "DequantizeLinear",
            stored,
            constant(codes.scale, f"{key}_scale", own=True),
            constant(zero_point, f"{key}_zero_point", _packed(element), own=True),
            called=f"{role}_dequantize",
            axis=codes.axis,
            block_size=codes.block,
        )

    def stored(self, site: Site, role: str, codes: Codes) -> str:
        """The initializer of codes that are not dequantized at once."""
        element = self._stored(codes)
        array, name = _as_array(codes.codes, element), f"{site.key(role)}_quantized"
        return site.builder.constant(array, name, _packed(element), own=True)

    def _stored(self, codes: Codes) -> int:
        if self._pack and codes.low >= -8 and codes.high <= 7:
            return TensorProto.INT4
        if self._pack and codes.low >= 0 and codes.high <= 15:
            return TensorProto.UINT4
        for element, (low, high) in _RANGES.items():
            if low <= codes.low and codes.high <= high:
                return element
        return TensorProto.INT32


_RANGES: dict[int, tuple[int, int]] = {
    TensorProto.INT8: (-(2**7), 2**7 - 1),
    TensorProto.UINT8: (0, 2**8 - 1),
    TensorProto.INT16: (-(2**15), 2**15 - 1),
    TensorProto.UINT16: (0, 2**16 - 1),
}
_NUMPY: dict[int, Any] = {
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.INT16: np.int16,
    TensorProto.UINT16: np.uint16,
    TensorProto.INT32: np.int32,
    TensorProto.INT4: np.int8,
    TensorProto.UINT4: np.uint8,
}


def _as_array(codes: NDArray[Any], element: int) -> NDArray[Any]:
    return codes.astype(_NUMPY[element])


def _packed(element: int) -> int | None:
    return element if element in (TensorProto.INT4, TensorProto.UINT4) else None


def _rounds_to_even(site: Site, role: str, format: Format) -> Fixed | Integer:
    if not isinstance(format, Fixed | Integer):
        raise site.error(
            f"{role} is {format}, which QuantizeLinear does not have",
            help='quantize activations to fixed<8,F> or int<8>, or use format="float"',
        )
    if format.rounding != "half_even":
        raise site.error(f"{role} is {format}, but QuantizeLinear rounds half to even", help=_REMEDY)
    return format


def _element(site: Site, role: str, low: int, high: int) -> int:
    unsigned_first = (TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16)
    for element in unsigned_first:
        least, largest = _RANGES[element]
        if least <= low and high <= largest and (low >= 0 or least < 0):
            return element
    raise site.error(f"{role} has codes from {low} to {high}; QuantizeLinear has 16 bits", help=_REMEDY)


def _print(site: Site, value: str, scale: NDArray[Any], grid: _Grid, element: int, clips: bool) -> str:
    builder, dtype, codes, zero = site.builder, _NUMPY[element], (grid.low, grid.high), grid.zero
    wide = element in (TensorProto.INT16, TensorProto.UINT16)
    source = value
    if clips and wide:  # Clip of 16-bit codes is missing from runtimes; bounds lie on the grid
        bounds = [np.float32((k - zero) * float(scale)) for k in codes]
        names = [builder.constant(b, f"{value}_{n}") for b, n in zip(bounds, ("min", "max"), strict=True)]
        source = builder.add("Clip", [value, *names], name=f"{value}/Clip", output=f"{value}_clipped")

    def ends(op: str, result: str, of: str) -> str:
        names = (
            builder.constant(scale, f"{value}_scale", own=True),
            builder.constant(np.array(zero, dtype), f"{value}_zero_point", own=True),
        )
        return builder.add(op, [of, *names], name=f"{value}/{op}", output=f"{value}_{result}")

    quantized = ends("QuantizeLinear", "quantized", source)
    if clips and not wide:
        names = [builder.constant(np.array(k, dtype), f"code_{k}", own=True) for k in codes]
        quantized = builder.add("Clip", [quantized, *names], name=f"{value}/Clip", output=f"{value}_clipped")
    return ends("DequantizeLinear", "dequantized", quantized)


_MOVES = frozenset(
    {
        *("Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "MaxPool"),
        *("Pad", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)


def _grid_of(builder: Builder, value: str) -> _Grid | None:
    """The numbers that a value may be, if it is dequantized and perhaps moved; None if that is not known."""
    made = builder.makers.get(value)
    if value in builder.grids or made is None or made.op_type not in _MOVES - {"Pad"}:
        return builder.grids.get(value)
    sources = made.input if made.op_type == "Concat" else made.input[:1]
    found = {_grid_of(builder, source) for source in sources}
    return found.pop() if len(found) == 1 else None


def _is_dequantized(builder: Builder, value: str) -> bool:
    """Whether a value comes, moved or not, from a DequantizeLinear.

    A pair of quantizers in a row is one to onnxruntime's optimiser, with a scale that is neither's, unless
    a Clip stands in the second.
    """
    made = builder.makers.get(value)
    if made is None:
        return False
    moved = made.op_type in _MOVES and _is_dequantized(builder, made.input[0])
    return made.op_type == "DequantizeLinear" or moved
