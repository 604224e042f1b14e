"""``cse``: common subexpression elimination."""

from __future__ import annotations

from mase.ir.graph import Graph, Node
from mase.ir.op import Op
from mase.ir.ops.attention import Attention
from mase.ir.ops.core import Input
from mase.ir.ops.nn import Dropout
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["cse"]


@register_pass("cse")
def cse(graph: Graph, ctx: Context) -> None:
    """Compute equal values once: same op and attributes, same operands, same weights.

    What a training step may compute differently each time (dropout, batch norm, random calls, opaque
    modules) is never merged. The first of several equal nodes stays, with its name and scope.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core, nn
        >>> graph = Graph()
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
        >>> a, b = graph.add(nn.Relu(), x), graph.add(nn.Relu(), x)
        >>> graph.outputs = [a, b]
        >>> cse(graph, Context(graph))
        >>> [node.name for node in graph.outputs]
        ['relu', 'relu']
    """
    frozen = _may_be_overwritten(graph)
    seen: dict[object, Node] = {}
    for node in graph.nodes:
        if _has_effect(node.op):
            seen.clear()  # whatever was computed before may be other numbers now
        if node.name in frozen or not _is_repeatable(node.op):
            continue
        first = seen.setdefault(_key(node), node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.erase(node)
            ctx.stat("merged")


def _key(node: Node) -> object:
    state = node.graph.state
    weights = sorted((role, state.resolve(key)) for role, key in node.params.items())
    return type(node.op), node.op, tuple(n.name for n in node.inputs), tuple(weights)


def _is_repeatable(op: Op) -> bool:
    """Whether doing it twice is doing it once, in training too."""
    if isinstance(op, QuantizedOp):
        return _is_repeatable(op.float_op)
    if isinstance(op, Attention):
        return op.dropout == 0
    return op.pure and not isinstance(op, Dropout | BatchNorm)


def _has_effect(op: Op) -> bool:
    return not op.pure and not isinstance(op, Input)


def _may_be_overwritten(graph: Graph) -> set[str]:
    """The values that a call with an effect takes, directly or through what may be a view of them."""
    found: set[str] = set()
    pending = [n for node in graph.nodes if _has_effect(node.op) for n in node.inputs]
    while pending:
        node = pending.pop()
        if node.name not in found:
            found.add(node.name)
            pending += node.inputs
    return found
