"""The layers of an hls4ml project, before hls4ml sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import permutations
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

    def axes(self) -> tuple[int, ...] | None:
        """The order in which the layer's axes are the value's; None if elements are elsewhere."""
        there = np.arange(math.prod(self.shape)).reshape(self.shape)
        orders = permutations(range(len(self.shape)))
        return next((order for order in orders if np.array_equal(there.transpose(order), self.places)), None)
