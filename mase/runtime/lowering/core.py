"""Lowering of the ops that hold a graph together; inputs and parameters are `lower`'s own business."""

from __future__ import annotations

import operator

from mase.ir import Hole
from mase.ir.ops import core
from mase.runtime.lowering.registry import Function, Source, to_module

__all__ = ["getitem"]


@to_module.register(core.GetItem)
def getitem(op: core.GetItem, source: Source) -> Function:
    """``core.getitem``."""
    return Function(operator.getitem, (Hole(0), op.index))
