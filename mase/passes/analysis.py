"""Analyses: facts derived from a graph, computed on demand and dropped when the graph changes.

An analysis is any function of the graph, or a class built from it; it needs no registration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from mase.ir.graph import Graph

__all__ = ["Analyses", "Analysis"]

T = TypeVar("T")

Analysis = Callable[[Graph], Any]
"""A function of a graph (or a class whose constructor takes one) without side effects."""


class Analyses:
    """The analyses of one graph, each kept while the graph's version stays.

    Args:
        graph: the graph that they describe.

    Example:
        >>> def count(graph: Graph) -> int:
        ...     print("counting")
        ...     return len(graph)
        >>> graph = Graph()
        >>> known = Analyses(graph)
        >>> known.get(count), known.get(count)
        counting
        (0, 0)
        >>> graph.touch()
        >>> known.get(count)
        counting
        0
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Analysis, tuple[int, Any]] = {}

    def get(self, analysis: Callable[[Graph], T]) -> T:
        """The result of ``analysis`` for the graph as it is now."""
        version, value = self._known.get(analysis, (-1, None))
        if version != self._graph.version:
            value = analysis(self._graph)
            self._known[analysis] = self._graph.version, value
        return cast(T, value)

    def settle(self, preserved: Iterable[Analysis], before: int) -> None:
        """Drop what a pass made stale.

        Args:
            preserved: what the pass promises to have left true.
            before: the graph's version when the pass began.
        """
        now, keep = self._graph.version, set(preserved)
        self._known = {
            analysis: (now, value)
            for analysis, (version, value) in self._known.items()
            if version == now or (version == before and analysis in keep)
        }
