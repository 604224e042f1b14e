"""Requantizations: in float64 where it holds the product, else in int64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import I64
from mase.ir.ops import exact
from mase.ir.ops.exact import Requantization, interval_of
from mase.ir.ops.exact.requantization import PART_BITS
from mase.runtime.onnx.integers import F64, carrier, less
from mase.runtime.onnx.registry import to_onnx_exact
from mase.runtime.onnx.rules.exact import rounded
from mase.runtime.onnx.shifts import shift_right
from mase.runtime.onnx.site import Site

__all__ = ["requantize"]

_FLOAT_BITS = 52


@to_onnx_exact.register(exact.Requantize)
def requantize(op: exact.Requantize, site: Site) -> str:
    """``int.requantize``."""
    multiplier, shift = _factors(op, site)
    bits = max(-interval_of(site.type(0)).min, interval_of(site.type(0)).max).bit_length()
    exact_in_float = bits + 1 + int(np.max(multiplier)).bit_length() <= _FLOAT_BITS
    print_ = _in_float if exact_in_float else _in_parts if op.to.wide else _in_integers
    return print_(site, op.to, multiplier, shift)


def _factors(op: exact.Requantize, site: Site) -> tuple[NDArray[Any], NDArray[Any]]:
    """Multipliers and shifts in shapes that broadcast over the value."""
    shape = [1] * site.rank()
    if shape:
        shape[op.axis] = -1

    def spread(role: str, one: int) -> NDArray[Any]:
        if not site.has(role):
            return np.array(one, np.int64)
        return site.array(role).astype(np.int64).reshape(shape)

    return spread("multiplier", op.to.multiplier), spread("shift", op.to.shift)


def _in_float(site: Site, to: Requantization, multiplier: NDArray[Any], shift: NDArray[Any]) -> str:
    """Mul by ``M * 2**-n``, Round or Floor, Clip: each exact in float64."""
    x = less(site, site.cast(site.input(0), F64), to.source_zero_point, F64)
    factor = np.ldexp(multiplier.astype(np.float64), -shift)
    if factor.ndim or factor != 1:
        x = site.emit("Mul", x, site.constant(factor, "factor"))
    if int(np.max(shift)) > 0:
        x = rounded(site, x, to.rounding, F64)
    if to.zero_point:
        x = site.emit("Add", x, site.number(float(to.zero_point), F64))
    x = site.emit("Clip", x, site.number(float(to.min), F64), site.number(float(to.max), F64))
    return site.cast(x, carrier(site.result))


def _in_integers(site: Site, to: Requantization, multiplier: NDArray[Any], shift: NDArray[Any]) -> str:
    """The product in int64, shifted."""
    if int(np.min(shift)) < 0:
        raise site.error("a shift to the left of a product beyond 53 bits has no form in ONNX")
    x = less(site, site.cast(site.input(0), I64), to.source_zero_point, I64)
    x = site.emit("Mul", x, site.constant(multiplier, "multiplier"))
    return _saturated(site, to, shift_right(site, x, shift, to.rounding))


def _in_parts(site: Site, to: Requantization, multiplier: NDArray[Any], shift: NDArray[Any]) -> str:
    """The product with a wide multiplier: its upper bits, and one for whether any of the others is set."""
    x, part = site.cast(site.input(0), I64), site.number(1 << PART_BITS, I64)
    if to.source_zero_point:
        x = site.emit("Sub", x, site.number(to.source_zero_point, I64))
    lower = site.emit("Mul", x, site.constant(multiplier & ((1 << PART_BITS) - 1), "lower"))
    rest = site.emit("Mod", lower, part)  # never negative
    carried = site.emit("Div", site.emit("Sub", lower, rest), part)
    upper = site.emit("Mul", x, site.constant(multiplier >> PART_BITS, "upper"))
    doubled = site.emit("Mul", site.emit("Add", upper, carried), site.number(2, I64))
    sticky = site.cast(site.emit("Greater", rest, site.number(0, I64)), I64)
    x = site.emit("Add", doubled, sticky)
    return _saturated(site, to, shift_right(site, x, shift - PART_BITS + 1, to.rounding))


def _saturated(site: Site, to: Requantization, x: str) -> str:
    if to.zero_point:
        x = site.emit("Add", x, site.number(to.zero_point, I64))
    x = site.emit("Clip", x, site.number(to.min, I64), site.number(to.max, I64))
    return site.cast(x, carrier(site.result))
