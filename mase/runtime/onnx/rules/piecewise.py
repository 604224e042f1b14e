"""Tables of straight lines, in int64."""

from __future__ import annotations

import numpy as np

from mase.ir import I64
from mase.ir.ops import exact
from mase.runtime.onnx.integers import carrier
from mase.runtime.onnx.registry import to_onnx_exact
from mase.runtime.onnx.shifts import shift_right
from mase.runtime.onnx.site import Site

__all__ = ["piecewise"]


@to_onnx_exact.register(exact.Piecewise)
def piecewise(op: exact.Piecewise, site: Site) -> str:
    """``int.piecewise``: gathers of what a code's bin and its segment have."""
    x = site.emit("Sub", site.cast(site.input(0), I64), site.number(op.first, I64))
    x = site.emit("Clip", x, site.number(0, I64), site.number(op.count - 1, I64))
    bin, rest = _divided(site, x, site.number(1 << op.bits, I64))
    lengths = 2 ** site.array("shift").astype(np.int64)
    within, t = _divided(site, rest, site.emit("Gather", site.constant(lengths, "lengths"), bin, axis=0))
    segment = site.emit("Add", _looked_up(site, "start", bin), within)
    rise = site.emit("Mul", _looked_up(site, "slope", segment), t)
    line = shift_right(
        site, site.emit("Add", _looked_up(site, "offset", segment), rise), op.frac, op.format.rounding
    )
    ends = (site.number(end, I64) for end in (op.format.code_min, op.format.code_max))
    return site.cast(site.emit("Clip", line, *ends), carrier(site.result))


def _divided(site: Site, x: str, by: str) -> tuple[str, str]:
    """The quotient and the rest of numbers that are not negative."""
    return site.emit("Div", x, by), site.emit("Mod", x, by)


def _looked_up(site: Site, role: str, index: str) -> str:
    return site.emit("Gather", site.constant(site.array(role).astype(np.int64), role), index, axis=0)
