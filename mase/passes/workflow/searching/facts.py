"""What must be the same for two measurements of a graph to be compared, as hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable

from mase.ir.graph import Graph
from mase.passes.context import Context

__all__ = ["facts_of"]


def facts_of(graph: Graph, ctx: Context) -> dict[str, str]:
    """A hash each for the graph without where it came from, its weights, and the data set.

    Args:
        graph: the graph.
        ctx: the context of the run, for its data.
    """
    from mase.runtime.digest import digest

    state, data = graph.state, ctx.data
    return {
        "graph": digest(_lines(graph)),
        "weights": digest(state[key] for key in state if state.available(key)),
        "data": digest(
            [json.dumps([graph.header.data, getattr(data, "name", type(data).__name__)], default=str)]
        ),
    }


def _lines(graph: Graph) -> Iterable[str]:
    """The graph without where it came from, which differs from machine to machine."""
    for node in graph.nodes:
        inputs = [source.name for source in node.inputs]
        yield f"{node.name} {node.scope} {node.op} {inputs} {dict(node.params)} {node.type}"
