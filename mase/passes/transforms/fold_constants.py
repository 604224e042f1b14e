"""``fold-constants``: compute once what depends on no input and no weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mase.ir.graph import Graph, Node
from mase.ir.ops import core
from mase.ir.types import TensorType
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.dce import dce

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["constants_of", "fold_constants", "fresh_key", "values_of"]


@register_pass("fold-constants")
def fold_constants(graph: Graph, ctx: Context) -> None:
    """Turn tables computed from constants, such as the angles of rotary embeddings, into buffers.

    What depends on an input, on a size that varies or on a weight stays, for it may change. Nodes that
    nothing uses any more go.

    Args:
        graph: the graph.
        ctx: the context of the run.

    Example:
        >>> import torch, mase
        >>> class Shifted(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x + torch.arange(4).cos()
        >>> graph = mase.trace(Shifted(), (torch.zeros(2, 4),))
        >>> fold_constants(graph, Context(graph))
        >>> [node.op.name for node in graph.nodes]
        ['core.input', 'core.parameter', 'tensor.add']
    """
    known = constants_of(graph)
    kept = {node.name for node in graph.outputs}
    wanted = [
        node
        for node in known.values()
        if not isinstance(node.op, core.Parameter)
        and isinstance(node.type, TensorType)
        and (node.name in kept or any(user.name not in known for user in node.users))
    ]
    for node, value in zip(wanted, values_of(graph, wanted), strict=True):
        key = fresh_key(graph, f"{node.scope}.{node.name}" if node.scope else node.name)
        graph.state[key] = value
        graph.state.declare(key, graph.state.entry(key).type, "buffer")
        node.op, node.inputs, node.params = core.Parameter(), (), {"value": key}
        ctx.stat("folded")
    if wanted:
        dce(graph, ctx)


def constants_of(graph: Graph) -> dict[str, Node]:
    """The nodes whose values are the same in every run."""
    found: dict[str, Node] = {}
    for node in graph.nodes:
        fixed = all(graph.state.entry(key).kind in ("buffer", "constant") for key in node.params.values())
        if isinstance(node.op, core.Input) or not node.op.pure or not fixed:
            continue
        if all(operand.name in found for operand in node.inputs):
            found[node.name] = node
    return found


def values_of(graph: Graph, nodes: list[Node]) -> list[Tensor]:
    """What nodes compute, each without the rest of the graph."""
    import torch

    from mase.runtime.lower import lower

    if not nodes:
        return []
    part = graph.copy()
    part.outputs = [part[node.name] for node in nodes]
    part.structure = Graph.default_structure(len(nodes))
    needed = {node.name for node in part.outputs}
    for node in reversed(list(part.nodes)):
        if node.name in needed:
            needed |= {operand.name for operand in node.inputs}
        else:
            part.erase(node)
    with torch.no_grad():
        found = lower(part).eval()()
    return list(found) if len(nodes) > 1 else [found]


def fresh_key(graph: Graph, wish: str) -> str:
    """``wish`` as a state key that nothing has yet, and no module as an attribute."""
    from torch.fx import GraphModule

    key, number = wish, 0
    while key in graph.state or hasattr(GraphModule, key.rpartition(".")[2]):
        number += 1
        key = f"{wish}_{number}"
    return key
