"""The interval of every value of a graph at level ``integer``, by its ops and the real weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mase.ir.diagnostics import Diagnostic, MaseError
from mase.ir.graph import Graph, Node
from mase.ir.op import OpError
from mase.ir.ops.exact.base import ExactOp, interval_of, is_integer
from mase.ir.ops.exact.casts import Dequantize
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.ops.moves import called_name, keeps_values
from mase.ir.ops.nn import Relu
from mase.ir.ops.torch import Call
from mase.ir.types import TensorType, TupleType, Type

__all__ = ["Ranges", "ranges_of"]


@dataclass
class Ranges:
    """What `ranges_of` found.

    Args:
        intervals: what each value may be, by node name.
        faults: the nodes whose values may leave their types, with the reason.
        unproven: nodes whose weights are not at hand, so that their types are all that is known.
    """

    intervals: dict[str, Interval] = field(default_factory=dict[str, Interval])
    faults: list[Diagnostic] = field(default_factory=list[Diagnostic])
    unproven: list[str] = field(default_factory=list[str])


def ranges_of(graph: Graph) -> Ranges:
    """Interval analysis of a graph at level ``integer``; inputs may hold whatever their types do.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core, exact
        >>> graph = Graph(level="integer")
        >>> x = graph.add(core.Input(), type=parse_type("si<8>[N]"), name="x")
        >>> y = graph.add(exact.Add(width=8, factor=2), x, x, name="y")
        >>> ranges_of(graph).faults[0].message
        'int.add: results in [-384, 381] need 10 bits, but its type is si<8>'
    """
    found = Ranges()
    for node in graph.nodes:
        if (declared := _declared(node.type)) is None and not isinstance(node.op, Dequantize):
            continue
        try:
            proven = _interval(node, found)
        except OpError as error:
            found.faults.append(node.fault(str(error), "choose narrower formats"))
            proven = declared
        if declared is None:
            continue
        if proven is not None and not proven.within(declared):
            found.faults.append(_too_narrow(node, proven))
            proven = proven.clipped(declared)
        found.intervals[node.name] = proven or declared
    return found


def _interval(node: Node, found: Ranges) -> Interval | None:
    """What a node's value may be; None if nothing but its type is known."""
    known = found.intervals
    operands = [known[n.name] for n in node.inputs if n.name in known]
    if isinstance(node.op, ExactOp):
        roles = _roles(node)
        if roles is None:
            found.unproven.append(node.name)
            return None
        return node.op.bounds(*operands, **roles)
    if not operands or not keeps_values(node.op):
        return None
    moved = hull(operands)
    return moved.clipped(Interval(0, max(moved.max, 0))) if _is_relu(node) else moved


def _roles(node: Node) -> Mapping[str, object] | None:
    state = node.graph.state
    if not all(state.available(key) for key in node.params.values()):
        return None
    try:
        return {role: state[key] for role, key in node.params.items()}
    except MaseError:  # the file is absent; who needs its weights will say so
        return None


def _is_relu(node: Node) -> bool:
    return isinstance(node.op, Relu) or (isinstance(node.op, Call) and called_name(node.op) == "relu")


def _declared(type: Type) -> Interval | None:
    """Every integer of a type, of any of its elements if it is a tuple; None if it holds no integers."""
    if isinstance(type, TupleType):
        parts = [p for p in map(_declared, type.elements) if p is not None]
        return hull(parts) if parts else None
    return interval_of(type) if isinstance(type, TensorType) and is_integer(type) else None


def _too_narrow(node: Node, proven: Interval) -> Diagnostic:
    declared = node.type.format if isinstance(node.type, TensorType) else node.type
    return node.fault(
        f"results in {proven} need {proven.width} bits, but its type is {declared}",
        "legalize the quantized graph again, or give the node that width",
    )
