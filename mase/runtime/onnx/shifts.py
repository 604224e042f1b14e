"""Shifts to the right of int64 values: ONNX shifts no signed ones, so that they are divided."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import I64
from mase.ir.format import Rounding
from mase.runtime.onnx.site import Site

__all__ = ["shift_right"]


def shift_right(site: Site, value: str, shift: NDArray[Any] | int, rounding: Rounding) -> str:
    """``value * 2**-shift`` as integers: a division without rest, and what becomes of the rest.

    Args:
        site: the node.
        value: an int64 value.
        shift: 0 to 62, one or for each element by broadcasting.
        rounding: how.
    """
    whole = site.constant(np.int64(1) << np.asarray(shift, np.int64), "divisor")
    rest = site.emit("Mod", value, whole)  # never negative
    below = site.emit("Div", site.emit("Sub", value, rest), whole)
    if rounding == "floor":
        return below
    excess = site.emit("Sub", site.emit("Mul", rest, site.number(2, I64)), whole)
    up = site.emit("Greater", excess, site.number(0, I64))
    tie = site.emit("Equal", excess, site.number(0, I64))
    if rounding == "half_even":
        odd = site.emit("Equal", site.emit("Mod", below, site.number(2, I64)), site.number(1, I64))
        tie = site.emit("And", tie, odd)
    return site.emit("Add", below, site.cast(site.emit("Or", up, tie), I64))
