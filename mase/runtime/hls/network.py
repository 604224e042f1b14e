"""The layers of an hls4ml project, before hls4ml sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Node
from mase.runtime.hls.numbers import Range

__all__ = ["Layer", "Value"]


@dataclass
class Layer:
    """A layer as hls4ml knows it.

    Args:
        name: unique, and an identifier of C++.
        kind: hls4ml's class.
        inputs: the names of the layers that it takes its operands from.
        attributes: what the class wants beside.
        types: the type of each of its numbers: ``result``, ``accum``, ``weight``, ``bias``, ``table``.
        shape: of its result, without the batch.
    """

    name: str
    kind: str
    inputs: list[str]
    attributes: dict[str, Any]
    types: dict[str, str]
    shape: tuple[int, ...]

    def settings(self) -> dict[str, Any]:
        """The layer as an entry of hls4ml's list."""
        named = {"name": self.name, "class_name": self.kind}
        return named | ({"inputs": list(self.inputs)} if self.inputs else {}) | self.attributes


@dataclass(frozen=True)
class Value:
    """A value of the graph, as a layer gives it.

    Views move nothing: they only say where in the layer's result each element is.

    Args:
        layer: the layer that gives it.
        shape: of that layer's result, without the batch.
        places: an array of the value's own shape without the batch, which holds for each element its
            place in the layer's result in row-major order; -1 is a zero that padding would add.
        numbers: what it may be, exactly.
        function: a function of one number that is still to be applied, as a table that the next
            quantizer completes.
    """

    layer: str
    shape: tuple[int, ...]
    places: NDArray[np.int64] = field(repr=False)
    numbers: Range
    function: Node | None = None

    @property
    def in_order(self) -> bool:
        """Whether its elements are the layer's, in order."""
        return np.array_equal(self.places.reshape(-1), np.arange(np.prod(self.shape)))
