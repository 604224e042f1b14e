"""Lowering of the ops of which torch has no module: experts and state spaces."""

from __future__ import annotations

from mase.ir.ops.experts import GroupedMatMul
from mase.ir.ops.scan import SelectiveScan
from mase.runtime.lowering.registry import Function, Source, to_module
from mase.runtime.modules.experts import grouped_matmul
from mase.runtime.modules.scan import selective_scan

__all__ = ["experts", "scan"]


@to_module.register(GroupedMatMul)
def experts(op: GroupedMatMul, source: Source) -> Function:
    """``tensor.grouped_matmul``."""
    return Function(grouped_matmul)


@to_module.register(SelectiveScan)
def scan(op: SelectiveScan, source: Source) -> Function:
    """``nn.selective_scan``."""
    return Function(selective_scan)
