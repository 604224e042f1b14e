"""What a pipeline made of the layers of a model, as a table: before and after, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mase.passes.instruments.base import Instrument

if TYPE_CHECKING:
    from mase.ir.graph import Graph, Node
    from mase.passes.context import Context
    from mase.passes.steps import Step

__all__ = ["COLUMNS", "Changes", "changes", "count_changes"]

COLUMNS = ("node", "scope", "before", "after", "formats", "change")


class Changes(Instrument):
    """Keeps the graph as it was before the first pass, to compare the result with.

    Example:
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops import core, nn
        >>> from mase.passes import Pipeline
        >>> graph, watcher = Graph(), Changes()
        >>> x = graph.add(core.Input(), type=parse_type("f32[4]"), name="x")
        >>> _ = graph.add(nn.Relu(), x, name="unused")
        >>> graph.outputs = [graph.add(nn.Relu(), x, name="y")]
        >>> after = Pipeline("dce").run(graph, instruments=[watcher])
        >>> [row["change"] for row in watcher.rows(after)]
        ['', 'removed', '']
    """

    def __init__(self) -> None:
        self._before: Graph | None = None

    def before_pass(self, step: Step, ctx: Context) -> None:
        if step.index == 0:
            self._before = ctx.graph.copy()

    def rows(self, after: Graph) -> list[dict[str, str]]:
        """A row for each node before or after; none if no pass ran.

        Args:
            after: the result.
        """
        return changes(self._before, after) if self._before is not None else []


def changes(before: Graph, after: Graph) -> list[dict[str, str]]:
    """What became of each node.

    Args:
        before: a graph.
        after: what passes made of it.

    Returns:
        Rows by column: the node with its scope, its op before and after, its formats, and ``changed``,
        ``added``, ``removed``, or nothing if it is the same.
    """
    names = [node.name for node in after.nodes]
    for place, node in enumerate(before.nodes):
        if node.name not in after:
            names.insert(min(place, len(names)), node.name)
    return [_row(name, before, after) for name in names]


def count_changes(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """The same by type of op: how many nodes became what.

    Args:
        rows: what `changes` gave.

    Example:
        >>> count_changes([{"before": "nn.relu", "after": "", "change": "removed"}])
        [{'before': 'nn.relu', 'after': '', 'change': 'removed', 'nodes': '1'}]
    """
    keys = ("before", "after", "change")
    counts = Counter(tuple(row[key] for key in keys) for row in rows)
    return [{**dict(zip(keys, texts, strict=True)), "nodes": str(count)} for texts, count in counts.items()]


def _row(name: str, before: Graph, after: Graph) -> dict[str, str]:
    old, new = (graph[name] if name in graph else None for graph in (before, after))  # noqa: SIM401
    node = new or old
    assert node is not None
    texts = [op.op.name if op else "" for op in (old, new)]
    return dict(zip(COLUMNS, [name, node.scope, *texts, _formats(new), _change(old, new)], strict=True))


def _formats(node: Node | None) -> str:
    from mase.ir.ops.quantized import role_formats

    if node is None:
        return ""
    formats = role_formats(node.op)
    return ", ".join(f"{role}: {format}" for role, format in formats.items() if format is not None)


def _change(old: Node | None, new: Node | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    same = old.op == new.op and [n.name for n in old.inputs] == [n.name for n in new.inputs]
    if same and old.type == new.type and dict(old.params) == dict(new.params):
        return "" if _same_weights(old, new) else "new weights"
    return "changed"


def _same_weights(old: Node, new: Node) -> bool:
    before, after = old.graph.state, new.graph.state
    keys = [key for key in new.params.values() if before.available(key) and after.available(key)]
    pairs = [(before[key], after[key]) for key in keys]
    return all(a is b or (a.shape == b.shape and a.dtype == b.dtype and a.equal(b)) for a, b in pairs)
