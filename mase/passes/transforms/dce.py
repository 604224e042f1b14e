"""``dce``: dead code elimination."""

from __future__ import annotations

from mase.ir.graph import Graph, Node
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["dce", "drop_unused_weights"]


@register_pass("dce")
def dce(graph: Graph, ctx: Context, *, weights: bool = True) -> None:
    """Erase nodes that nothing uses and that have no effect.

    Inputs stay, for they are what callers pass; so do in-place and random calls and opaque modules.

    Args:
        graph: the graph.
        ctx: the context of the run.
        weights: also forget the weights that only erased nodes used.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core, nn
        >>> graph = Graph()
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
        >>> dead = graph.add(nn.Relu(), x)
        >>> graph.outputs = [x]
        >>> dce(graph, Context(graph))
        >>> len(graph)
        1
    """
    keep = {node.name for node in graph.outputs}
    keys: list[str] = []
    for node in reversed(list(graph.nodes)):
        if _is_dead(node, keep):
            keys += node.params.values()
            graph.erase(node)
            ctx.stat("erased")
    if weights:
        ctx.stat("weights forgotten", drop_unused_weights(graph, keys))


def _is_dead(node: Node, keep: set[str]) -> bool:
    return node.op.pure and not node.users and node.name not in keep


def drop_unused_weights(graph: Graph, keys: list[str]) -> int:
    """Forget those of ``keys`` that no node refers to any more, under any of their names.

    Args:
        graph: the graph whose state they are in.
        keys: state keys; names that share another key's tensor stand for that key.

    Returns:
        How many tensors were forgotten.
    """
    state = graph.state
    unused = {state.resolve(key) for key in keys if not graph.users_of(key)}
    for key in unused:
        del state[key]
    return len(unused)
