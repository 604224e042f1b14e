"""Integers of any width in the types that machines have, and weights packed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from mase.ir import Dtype, TensorType
from mase.runtime.onnx.site import Site
from mase.runtime.onnx.types import carrier_of

__all__ = ["F64", "carrier", "centred", "is_narrow", "less", "machine", "stored_weight"]

F64 = Dtype("f64")
_I8, _U8 = Dtype("i8"), Dtype("u8")
_PACKED = {
    (2, False): TensorProto.INT2,
    (2, True): TensorProto.UINT2,
    (4, False): TensorProto.INT4,
    (4, True): TensorProto.UINT4,
}


def carrier(type: TensorType) -> Dtype:
    """The machine type that carries a value; see `carrier_of`."""
    return carrier_of(type.format)


def machine(site: Site, value: int) -> str:
    """A number in the type of the node's value."""
    return site.number(value, carrier(site.result))


def less(site: Site, value: str, zero_point: int, format: Dtype) -> str:
    """A value of a format less the code of 0."""
    return site.emit("Sub", value, site.number(zero_point, format)) if zero_point else value


def centred(site: Site, position: int, zero_point: int) -> str:
    """An operand less the code of 0, in the type of the node's value."""
    wanted = carrier(site.result)
    value = site.input(position)
    if carrier(site.type(position)) != wanted:
        value = site.cast(value, wanted)
    return less(site, value, zero_point, wanted)


def is_narrow(site: Site) -> bool:
    """Whether operands, weights and sums are those of ONNX's integer operators: of 8, 8 and 32 bits."""
    width: int = getattr(site.op, "width", 0)
    return carrier(site.type(0)).bits == 8 and _reach(site.array("weight")) <= 127 and width <= 32


def _reach(codes: NDArray[Any]) -> int:
    return max(int(codes.max(initial=0)), -int(codes.min(initial=0)) - 1)


def stored_weight(site: Site, *, unsigned: bool, order: tuple[int, ...] | None = None) -> tuple[str, int]:
    """A weight as the 8-bit integers that kernels take, stored in 2, 4 or 8 bits; and its zero point.

    Unsigned activations want unsigned weights: kernels for CPUs without VNNI saturate the sums of products
    of an unsigned and a signed byte.

    Args:
        site: the node.
        unsigned: whether the codes are moved to where none is negative.
        order: the order of the dimensions.
    """
    codes = site.array("weight")
    if order is not None:
        codes = codes.transpose(order)
    bits = next(b for b in (2, 4, 8) if _reach(codes) < 2 ** (b - 1))
    zero = 2 ** (bits - 1) if unsigned else 0
    element = _PACKED.get((bits, unsigned))
    dtype = np.uint8 if unsigned else np.int8
    known = ("codes", site.key("weight"), order, unsigned)

    def make() -> str:
        moved = codes.astype(np.int16) + np.int16(zero) if zero else codes
        return site.builder.constant(moved.astype(dtype), site.key("weight"), element, own=True)

    name = site.builder.once(known, make)
    return (name if bits == 8 else site.cast(name, _U8 if unsigned else _I8)), zero
