"""Parameters and elements of tuples; inputs are the printer's own business."""

from __future__ import annotations

from mase.ir.ops import core
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.site import Site, Value

__all__ = ["getitem", "parameter"]


@to_onnx.register(core.Parameter)
def parameter(op: core.Parameter, site: Site) -> Value:
    """``core.parameter``: an initializer."""
    return site.param("value")


@to_onnx.register(core.GetItem)
def getitem(op: core.GetItem, site: Site) -> Value:
    """``core.getitem``."""
    return site.inputs[0][op.index]
