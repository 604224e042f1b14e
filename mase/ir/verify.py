"""The verifier: every graph between two passes satisfies these rules, or the message says which not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from mase.ir.diagnostics import Diagnostic, MaseError
from mase.ir.graph import Graph, Node
from mase.ir.op import Level, OpError
from mase.ir.ops.quantized import role_formats
from mase.ir.types import ScalarType, TensorType, TupleType, Type
from mase.ir.verify_integer import integer_faults

__all__ = ["check", "levels_up_to", "verify"]

_LEVELS: tuple[Level, ...] = get_args(Level)


def levels_up_to(level: Level) -> tuple[Level, ...]:
    """The levels whose ops a graph of ``level`` may hold.

    Example:
        >>> levels_up_to("quantized")
        ('float', 'quantized')
    """
    return _LEVELS[: _LEVELS.index(level) + 1]


def verify(graph: Graph) -> list[Diagnostic]:
    """Every broken rule of a graph.

    The rules: operands come before their users and belong to the graph; an op has the operands and
    roles of its schema; roles name keys of the state; the declared type is the one that the op
    infers; formats are calibrated; no op is above the graph's level; aliases lead to a tensor; at level
    ``integer``, no float lies between the boundaries and no value leaves its type.
    """
    found = list(_graph_rules(graph)) + [d for n in graph.nodes for d in _node_rules(n)]
    if graph.level == "integer" and not found:
        found += integer_faults(graph)
    return found


def check(graph: Graph) -> None:
    """Raise MaseError with every broken rule, if any is."""
    found = verify(graph)
    if found:
        raise MaseError(found)


def _graph_rules(graph: Graph) -> Iterator[Diagnostic]:
    seen: set[Node] = set()
    for node in graph.nodes:
        for operand in node.inputs:
            if operand not in seen:
                where = "after its user" if operand.name in graph else "not in the graph"
                yield node.fault(f"operand {operand.name!r} is {where}", "insert it before the node")
        seen.add(node)
    for output in graph.outputs:
        if output not in seen:
            yield Diagnostic(f"output {output.name!r} is not in the graph")
    if set(graph.structure.holes) != set(range(len(graph.outputs))):
        yield Diagnostic(f"structure {graph.structure} does not hold the {len(graph.outputs)} outputs")
    entries = graph.state.entries()
    for alias, target in graph.state.aliases.items():
        if target not in entries:
            yield Diagnostic(f"weight {alias!r} shares {target!r}, which does not exist")


def _node_rules(node: Node) -> Iterator[Diagnostic]:
    schema_faults = [*_arity(node), *_roles(node)]
    yield from schema_faults
    if node.op.level not in levels_up_to(node.graph.level):
        yield node.fault(
            f"a {node.op.level} op in a graph of level {node.graph.level}",
            f"set the graph's level to {node.op.level!r} in the pass that made it",
        )
    for role, format in role_formats(node.op).items():
        if format is not None and not format.calibrated:
            yield node.fault(
                f"{role} = {format} has no fraction yet",
                f"give one, as in fixed<{format.bits},4>, or let quantize calibrate it",
            )
    if not schema_faults and node.op.name != "core.input":
        yield from _types(node)


def _arity(node: Node) -> Iterator[Diagnostic]:
    schema, count = node.op.schema(), len(node.inputs)
    low, high = len(schema.required), len(schema.operands)
    if node.op.name == "core.input":
        low = high = 0
    elif schema.variadic:
        high = max(count, low)
    if not low <= count <= high:
        wanted = f"{low}" if low == high else f"{low} to {high}"
        names = ", ".join(schema.operands)
        yield node.fault(f"expected {wanted} operands ({names}), found {count}")


def _roles(node: Node) -> Iterator[Diagnostic]:
    schema = node.op.schema()
    if node.op.name == "core.input":
        return
    for role, required in schema.roles.items():
        if required and role not in node.params:
            yield node.fault(f"the role {role!r} has no weight")
    for role, key in node.params.items():
        if role not in schema.roles and not schema.any_role:
            yield node.fault(f"no role {role!r}; it has {', '.join(schema.roles) or 'none'}")
        if key not in node.graph.state:
            yield node.fault(f"{role} = {key!r} is not in the state")


def _types(node: Node) -> Iterator[Diagnostic]:
    try:
        inferred = node.infer()
    except OpError as error:
        operands = ", ".join(f"{n.name}: {n.type}" for n in node.inputs)
        yield node.fault(str(error), f"its operands are {operands}" if operands else None)
        return
    if not compatible(node.type, inferred):
        yield node.fault(
            f"declared {node.type}, but its operands give {inferred}",
            "run annotate-types after the rewrite",
        )


def compatible(declared: Type, inferred: Type) -> bool:
    """Whether two types may be the same; symbolic dimensions may turn out equal."""
    match declared, inferred:
        case TensorType(format=f, shape=s), TensorType(format=g, shape=t):
            known = all(
                a == b for a, b in zip(s, t, strict=False) if isinstance(a, int) and isinstance(b, int)
            )
            return f == g and len(s) == len(t) and known
        case TupleType(elements=a), TupleType(elements=b):
            return len(a) == len(b) and all(compatible(x, y) for x, y in zip(a, b, strict=True))
        case ScalarType(kind=a), ScalarType(kind=b):
            return a == b
        case _:
            return declared == inferred
