"""What a rule sees of the node that it prints, and how it adds layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from torch import Tensor

from mase.ir import Fixed, Node
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.hls.network import Layer, Value
from mase.runtime.hls.numbers import Range, plain, type_of_format
from mase.runtime.hls.options import HlsOptions
from mase.runtime.hls.registry import UnfitError
from mase.runtime.hls.runner import Runner
from mase.runtime.hls.tables import tabulated
from mase.runtime.hls.weights import Weights, fixed_format, weights_of

__all__ = ["Site"]

_FLOAT_BITS = 24


@dataclass(frozen=True)
class Site:
    """A node, and the network that it joins.

    Args:
        node: the node.
        values: of the nodes before it.
        layers: of the network, which grows.
        runner: the functions of the graph's nodes.
        options: the hardware.
    """

    node: Node
    values: dict[Node, Value]
    layers: dict[str, Layer]
    runner: Runner
    options: HlsOptions

    # -- operands ---------------------------------------------------------------------------

    @property
    def streams(self) -> bool:
        """Whether values come pixel by pixel."""
        return self.options.io_type == "io_stream"

    @property
    def dimensions(self) -> Literal[1, 2]:
        """Over how many dimensions depthwise convolutions run.

        hls4ml's headers for one and for two exclude each other, by one include guard; so it is two where
        the model takes images, and one where it does not.
        """
        return 2 if self.node.graph.inputs[0].tensor_type.rank == 4 else 1

    def operand(self, position: int = 0) -> Value:
        """An operand, quantized where the op says so.

        Raises:
            UnfitError: if its format is none that hls4ml computes exactly.
        """
        value, op = self.values[self.node.inputs[position]], self.node.op
        if not isinstance(op, QuantizedOp):
            return self._as_it_is(value)
        role = op.base.schema().operand(position)
        if (format := op.formats.get(role)) is None:
            return self._as_it_is(value)
        return self.quantized(value, fixed_format(self.node, role, format))

    def _as_it_is(self, value: Value) -> Value:
        if value.function is not None:
            raise UnfitError(f"{value.function.name} gives it floats", "quantize this operand")
        if value.numbers.bits > _FLOAT_BITS and self.node.graph.level != "integer":
            raise UnfitError(f"the model rounds {value.layer} to float32 before it", "quantize this operand")
        return value

    def parameter(self, role: str) -> Weights | None:
        """A parameter as the model quantizes it; None if the node has none.

        Raises:
            UnfitError: if its numbers have no common last bit.
        """
        if (tensor := self.tensor(role)) is None:
            return None
        module = cast(Any, self.runner.module_of(self.node))
        return weights_of(module.quantized(role, tensor).detach(), role)

    def tensor(self, role: str) -> Tensor | None:
        """A parameter as it is in the state; None if the node has none."""
        key = self.node.params.get(role)
        return None if key is None else self.node.graph.state[key]

    # -- layers -----------------------------------------------------------------------------

    def add(
        self,
        kind: str,
        inputs: Sequence[Value],
        shape: Sequence[int],
        numbers: Range,
        *,
        suffix: str = "",
        result: str | None = None,
        types: dict[str, str] | None = None,
        **attributes: Any,
    ) -> Value:
        """Add a layer, and give its value, which is in order.

        Args:
            kind: hls4ml's class.
            inputs: its operands.
            shape: of its result.
            numbers: what it gives.
            suffix: of its name, where the node has more than one layer.
            result: the type of its result; by default what ``numbers`` need.
            types: of its other numbers.
            attributes: what hls4ml's class wants.
        """
        name = _unused_name(self.layers, f"{self.node.name}{suffix}")
        found = {"result": result or str(numbers), **(types or {})}
        taken = [v.layer for v in inputs]
        sizes = tuple(int(s) for s in shape)
        self.layers[name] = Layer(name, kind, taken, attributes, found, sizes)
        return Value(name, sizes, np.arange(math.prod(sizes)).reshape(sizes), numbers)

    def quantized(self, value: Value, format: Fixed) -> Value:
        """A value on the grid of a format."""
        if value.function is not None:
            return tabulated(self, value, format)
        if value.numbers.within(format):
            return value
        kept = Range.of(format)
        if value.numbers.low >= 0:
            kept = kept.clipped(0, kept.high)
        made = self.add(
            "Activation",
            [value],
            value.shape,
            kept,
            suffix="_quantized",
            result=type_of_format(format),
            activation="linear",
        )
        return Value(made.layer, value.shape, value.places, kept)

    def typed(self, value: Value, type: str, suffix: str) -> Value:
        """The same numbers in another type, which must hold them."""
        if plain(self.layers[value.layer].types["result"]) == type:
            return value
        made = self.add(
            "Activation", [value], value.shape, value.numbers, suffix=suffix, result=type, activation="linear"
        )
        return Value(made.layer, value.shape, value.places, value.numbers)


def _unused_name(layers: dict[str, Layer], name: str) -> str:
    """A name that no layer has, in any case of letters."""
    taken = {n.lower() for n in layers} | {"input"}
    names = (name, *(f"{name}_{i}" for i in range(1, len(taken) + 2)))
    return next(n for n in names if n.lower() not in taken)
