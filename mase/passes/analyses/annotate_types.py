"""``annotate-types``: compute every node's type anew."""

from __future__ import annotations

from mase.ir.diagnostics import Diagnostic, MaseError
from mase.ir.graph import Graph, Node
from mase.ir.op import OpError
from mase.ir.ops import core
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["annotate_types"]


@register_pass("annotate-types")
def annotate_types(graph: Graph, ctx: Context) -> None:
    """Infer the type of every node from its operands and weights, and store it.

    Graph inputs keep the type they declare, and calls without a type rule keep the one capture saw.
    Run it after editing a graph.toml by hand: change the type of an input, and the rest follows.

    Raises:
        MaseError: naming every node whose operands do not fit, with the line of the user's model.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import nn
        >>> graph = Graph()
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
        >>> y = graph.add(nn.Relu(), x, name="y")
        >>> x.type = parse_type("f32[N,8]")
        >>> annotate_types(graph, Context(graph))
        >>> print(y.type)
        f32[N,8]
    """
    problems: list[Diagnostic] = []
    for node in graph.nodes:
        if isinstance(node.op, core.Input):
            continue
        try:
            found = node.infer()
        except OpError as error:
            problems.append(_problem(node, error))
            continue
        ctx.stat("inferred")
        if found != node.type:
            node.type = found
            ctx.stat("changed")
    if problems:
        raise MaseError(problems)


def _problem(node: Node, error: OpError) -> Diagnostic:
    operands = ", ".join(f"%{n.name}: {n.type}" for n in node.inputs) or "none"
    return Diagnostic(
        f"the operands of {node.op.name} do not fit: {error}",
        node=node.name,
        source=node.loc,
        help=f"its operands are {operands}",
    )
