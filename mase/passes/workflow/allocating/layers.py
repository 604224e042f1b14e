"""What is decided together: a layer with every combination of formats that its operands may have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mase.passes.workflow.searching.space import Dimension, Space

__all__ = ["Layer", "layers_of", "merged"]


@dataclass(frozen=True)
class Layer:
    """Decisions about the same nodes, whose costs hang together.

    Args:
        name: what tables and files call it.
        dimensions: the decisions: the weight's format, that of the operand, ...
        nodes: the names of the nodes.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    nodes: tuple[str, ...]

    @property
    def choices(self) -> list[dict[str, str]]:
        """Every combination: a choice by the name of each dimension."""
        names = [each.name for each in self.dimensions]
        return [
            dict(zip(names, texts, strict=True))
            for texts in itertools.product(*(each.choices for each in self.dimensions))
        ]


def layers_of(space: Space) -> list[Layer]:
    """The decisions of a space, those about the same nodes together.

    Example:
        >>> two = ("fixed<2>", "fixed<8>")
        >>> dimensions = [Dimension(f"fc.{role}", role, ("fc",), two) for role in ("weight", "data_in")]
        >>> [layer] = layers_of(Space(tuple(dimensions)))
        >>> layer.name, len(layer.choices)
        ('fc', 4)
    """
    groups: list[list[Dimension]] = []
    for each in space.dimensions:
        mine = [group for group in groups if any(set(each.nodes) & set(known.nodes) for known in group)]
        groups = [group for group in groups if group not in mine]
        groups.append([*itertools.chain(*mine), each])
    return [_layer(group) for group in groups]


def _layer(group: Sequence[Dimension]) -> Layer:
    nodes = dict.fromkeys(name for each in group for name in each.nodes)
    return Layer(group[0].name.rpartition(".")[0], tuple(group), tuple(nodes))


def merged(layers: Sequence[Layer], chosen: Sequence[int]) -> dict[str, str]:
    """The choice of each dimension by its name, from the index of that of each layer."""
    choices = (layer.choices[i] for layer, i in zip(layers, chosen, strict=True))
    return {name: text for each in choices for name, text in each.items()}
