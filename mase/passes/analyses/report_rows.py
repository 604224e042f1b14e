"""What a report says of each node, as plain values by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt

from mase.ir.graph import Graph, Node
from mase.ir.ops.core import Input, Parameter
from mase.ir.ops.exact import RoundsAlike
from mase.ir.ops.moves import is_view
from mase.ir.ops.quantized import role_formats
from mase.passes.analyses.cost import Cost
from mase.passes.analyses.hardware.resources import Resources
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.analyses.statistics import Statistics
from mase.passes.analyses.value_range import SeenRange, ValueRange

__all__ = ["COLUMNS", "Cell", "Row", "rows_of"]

Cell = str | int | float | None
"""Text, a count, a measurement, or nothing known."""
Row = Mapping[str, Cell]
"""The cells of one node by column."""


def _formats(node: Node) -> str | None:
    known = [f"{role}: {f or 'float'}" for role, f in role_formats(node.op).items() if _has(node, role)]
    return ", ".join(known) or None


def _has(node: Node, role: str) -> bool:
    operands = {name for name, _ in node.named_inputs}
    return role in node.params or role in operands or role not in node.op.schema().roles


def _not_quantized(node: Node) -> str | None:
    if found := node.meta.get(NotQuantized):
        return found.reason
    skipped = node.graph.level != "float" and node.op.level == "float"
    skipped = skipped and node.graph.level != "integer"  # where nothing is left in float
    plumbing = isinstance(node.op, Input | Parameter) or is_view(node.op)
    return "quantize did not meet it" if skipped and not plumbing else None


def _count(annotation: type[Cost | Resources], field: str) -> Callable[[Node], Cell]:
    def cell(node: Node) -> Cell:
        found = node.meta.get(annotation)
        return getattr(found, field) or None if found else None

    return cell


def _statistic(read: Callable[[Statistics], float]) -> Callable[[Node], Cell]:
    def cell(node: Node) -> Cell:
        found = node.meta.get(Statistics)
        return read(found) if found else None

    return cell


def _range(found: ValueRange | SeenRange | None) -> Cell:
    if found is None:
        return None
    text = f"{found.min} to {found.max}, {found.width} bits"
    if isinstance(found, ValueRange) and found.held_by != "float32":
        return f"{text} ({found.held_by or 'no float'})"
    return text


COLUMNS: Mapping[str, Callable[[Node], Cell]] = {
    "node": lambda n: n.name,
    "scope": lambda n: n.scope or None,
    "op": lambda n: n.op.name,
    "type": lambda n: str(n.type),
    "formats": _formats,
    "parameters": _count(Cost, "parameters"),
    "macs": _count(Cost, "macs"),
    "bits moved": _count(Cost, "bits_moved"),
    "bit ops": _count(Cost, "bit_ops"),
    "lut": _count(Resources, "lut"),
    "dsp": _count(Resources, "dsp"),
    "bram": _count(Resources, "bram"),
    "cycles": _count(Resources, "cycles"),
    "min": _statistic(lambda s: s.min),
    "max": _statistic(lambda s: s.max),
    "mean": _statistic(lambda s: s.mean),
    "std": _statistic(lambda s: sqrt(s.variance)),
    "range": lambda n: _range(n.meta.get(ValueRange)),
    "seen": lambda n: _range(n.meta.get(SeenRange)),
    "rounds alike": lambda n: str(found) if (found := n.meta.get(RoundsAlike)) else None,
    "not quantized": _not_quantized,
}
"""How each column is read off a node."""


def rows_of(graph: Graph) -> list[Row]:
    """One row for each node, in order; what is not known is None."""
    return [{name: read(node) for name, read in COLUMNS.items()} for node in graph.nodes]
