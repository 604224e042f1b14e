"""Copies of a graph, quantized in part or as an allocation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mase.ir.graph import Graph
from mase.passes.context import Context
from mase.passes.workflow.searching.space import Dimension
from mase.passes.workflow.searching.trial_graph import Formats

__all__ = ["Variants"]


@dataclass(frozen=True)
class Variants:
    """Makes quantized copies.

    Args:
        graph: before anything is allocated.
        formats: from choices to a quantized graph.
        seed: of the run.
    """

    graph: Graph
    formats: Formats
    seed: int

    def one(self, dimension: Dimension, choice: str) -> Graph:
        """Quantized in nothing but what one dimension decides."""
        made = self.graph.copy()
        self.formats.apply_one(made, Context(made, seed=self.seed), dimension, choice)
        return made

    def whole(self, chosen: Mapping[str, str]) -> Graph:
        """Quantized by a choice for each dimension, and by the base."""
        made = self.graph.copy()
        self.formats.apply(made, Context(made, seed=self.seed), chosen)
        return made
