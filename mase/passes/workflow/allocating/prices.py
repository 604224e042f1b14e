"""What each choice of a layer costs, and what the whole graph does, by the figures of ``cost``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mase.ir.graph import Graph, Node
from mase.passes.analyses.cost import total_cost
from mase.passes.analyses.hardware.resources import Resources
from mase.passes.workflow.allocating.layers import Layer, merged
from mase.passes.workflow.allocating.variants import Variants
from mase.passes.workflow.searching.measure import Bench, weight_sizes

__all__ = ["Prices"]


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Reads off quantized copies of a graph what they cost.

    Args:
        variants: makes quantized copies of the graph.
        bench: measures costs.
        layers: what is decided.
    """

    variants: Variants
    bench: Bench
    layers: Sequence[Layer]

    def of(self, chosen: Sequence[int]) -> dict[str, float]:
        """What the graph costs with a choice for each layer."""
        return self.bench.costs(self._quantized(chosen))

    def of_each(self) -> list[list[dict[str, float]]]:
        """What each layer costs with each of its choices, where all others have one like it.

        Few costs of a layer depend on others (a requantizer on the accumulator before it), so as many
        graphs as the layer with the most choices has are enough.
        """
        counts = [len(layer.choices) for layer in self.layers]
        found: list[list[dict[str, float]]] = [[] for _ in counts]
        for i in range(max(counts)):
            graph = self._quantized([i % count for count in counts])
            self.bench.costs(graph)  # annotates it
            numbers, _ = weight_sizes(graph.nodes)
            for layer, count, mine in zip(self.layers, counts, found, strict=True):
                if i < count:
                    mine.append(_cost_of([graph[name] for name in layer.nodes], numbers))
        return found

    def _quantized(self, chosen: Sequence[int]) -> Graph:
        return self.variants.whole(merged(self.layers, chosen))


def _cost_of(nodes: Sequence[Node], numbers: int) -> dict[str, float]:
    """The figures of some nodes, which `cost` has annotated; of a sum each layer's share.

    Args:
        nodes: of one layer.
        numbers: in all weights of the graph that can be quantized, for their average width.
    """
    cost = total_cost(nodes)
    area = sum((node.meta[Resources] for node in nodes if Resources in node.meta), Resources())
    _, bits = weight_sizes(nodes)
    return {
        **vars(cost),
        **vars(area),
        "memory": cost.weight_bits / 8,
        "average_bits": bits / numbers if numbers else 0.0,
    }
