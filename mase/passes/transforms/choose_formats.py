"""Completing formats: the fraction of ``fixed<8>`` from statistics or by the least squared error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format, Uncalibrated
from mase.ir.formats import Fixed
from mase.ir.graph import Graph, Node
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.analyses.calibration import Split, collect_sketches
from mase.passes.analyses.sketch import Sketch, sketch
from mase.passes.analyses.statistics import Statistics
from mase.passes.context import Context
from mase.passes.transforms.quantize_rules import float_op

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Calibrate", "Chooser"]

Calibrate = Literal["range", "mse"]

_BIAS_WIDTH = 32


class Chooser:
    """Completes the formats of nodes, looking at data no earlier and no more than once.

    Args:
        graph: the graph as it was before any node was quantized.
        ctx: the context of the run, for its data.
        calibrate: ``range`` takes the finest fraction at which nothing overflows, ``mse`` the one
            with the least mean squared error.
        batches: how many batches to look at.
        split: the part of the data to take them from.
    """

    def __init__(self, graph: Graph, ctx: Context, calibrate: Calibrate, batches: int, split: Split) -> None:
        self._graph, self._ctx = graph.copy(), ctx
        self._calibrate: Calibrate = calibrate
        self._batches = batches
        self._split: Split = split
        self._sketches: dict[str, Sketch] | None = None

    def complete(
        self, node: Node, made: type[QuantizedOp], formats: Mapping[str, Format | None]
    ) -> dict[str, Format | None]:
        """The formats of a node with every free parameter chosen.

        A bias without a format gets a 32-bit one at the scale of the products, where integer
        hardware adds it.

        Args:
            node: the node, still in float.
            made: the quantized op that it is to become.
            formats: by role; absent and None leave an operand in float.

        Raises:
            MaseError: if statistics are needed and neither they nor data are at hand, or a weight
                is not finite.
        """
        done = dict.fromkeys(made.roles) | {r: f for r, f in formats.items() if r in made.roles}
        operands = made.schema().operands
        for role, format in done.items():
            if isinstance(format, Uncalibrated) and role in operands:
                done[role] = self._for_operand(node, operands.index(role), format)
        for role, format in done.items():
            if isinstance(format, Uncalibrated):
                done[role] = self._for_weight(node, role, format)
        if "bias" in done and "bias" not in formats and self._has_bias(node):
            done["bias"] = self._bias(node, done)
        return done

    # -- operands ---------------------------------------------------------------------------

    def _for_operand(self, node: Node, position: int, format: Uncalibrated) -> Format:
        source = self._graph[node.name].inputs[position]
        if self._calibrate == "range" and self._sketches is None:
            known = source.meta.get(Statistics)
            if known is not None:
                return format.fit(known.min, known.max)
        found = self._sketch(node, source, format)
        return self._choose(format, found)

    def _sketch(self, node: Node, source: Node, format: Uncalibrated) -> Sketch:
        if self._sketches is None:
            if not self._ctx.has_data:
                raise MaseError.of(
                    f"{format} needs statistics of {source.name!r}, and there is no data to take them from",
                    node=node.name,
                    source=node.loc,
                    help="run profile first, give [data], or write the fraction, as in fixed<8,4>",
                )
            self._sketches = collect_sketches(
                self._graph,
                self._ctx.data,
                batches=self._batches,
                split=self._split,
                source_model=self._ctx.source_of(self._graph),
                console=self._ctx.console,
            )
        return self._sketches[source.name]

    def _choose(self, format: Uncalibrated, found: Sketch) -> Format:
        if not found.count:
            return format.fit(0.0, 0.0)
        if self._calibrate == "range":
            return format.fit(found.min, found.max)
        return least_error(format, found.min, found.max, found.squared_error)

    # -- weights ----------------------------------------------------------------------------

    def _for_weight(self, node: Node, role: str, format: Uncalibrated) -> Format:
        tensors = self._tensors(node, role)
        if not tensors:
            return format.fit(0.0, 0.0)
        merged = sketch(tensors[0])
        return self._choose(format, merged)

    def _tensors(self, node: Node, role: str) -> list[Tensor]:
        """The numbers that are quantized in a role: batch norm's are its scale and shift."""
        if isinstance(float_op(node.op), BatchNorm):
            scale, shift = _scale_and_shift(node)
            return [scale if role == "weight" else shift]
        return [self._graph.state[node.params[role]]] if role in node.params else []

    def _has_bias(self, node: Node) -> bool:
        return "bias" in node.params or isinstance(float_op(node.op), BatchNorm)

    def _bias(self, node: Node, formats: Mapping[str, Format | None]) -> Format | None:
        x, w = formats.get("data_in"), formats.get("weight")
        if not isinstance(x, Fixed) or not isinstance(w, Fixed):
            return None
        values = self._tensors(node, "bias")[0]
        low, high = float(values.min()), float(values.max())
        widest = Fixed(_BIAS_WIDTH, 0, rounding=w.rounding)
        fitting = _finest(widest, max(abs(low), abs(high)))
        return Fixed(_BIAS_WIDTH, max(-126, min(x.frac + w.frac, fitting)), rounding=w.rounding)


def _finest(format: Fixed, magnitude: float) -> int:
    """The largest fraction at which ``magnitude`` does not overflow."""
    if magnitude == 0:
        return 126
    frac = format.width - 1 - math.frexp(magnitude)[1]
    return min(frac, 126)


def least_error(
    format: Uncalibrated,
    low: float,
    high: float,
    squared_error: Callable[[Callable[[Tensor], Tensor]], float],
) -> Format:
    """The candidate of ``format`` on ``[low, high]`` with the least mean squared error.

    Args:
        format: what is to be completed.
        low: the smallest number seen.
        high: the largest number seen.
        squared_error: the error that a quantizer makes on the numbers seen.
    """
    from mase.runtime.kernels import quantize

    def error(candidate: Format) -> float:
        return squared_error(lambda x: quantize(x, candidate))

    return min(format.candidates(low, high), key=error)


def _scale_and_shift(node: Node) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation as ``x * scale + shift``, each of shape ``[C]``."""
    import torch

    op = float_op(node.op)
    assert isinstance(op, BatchNorm)
    state = node.graph.state
    mean, var = (state[node.params[r]].double() for r in ("running_mean", "running_var"))
    ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
    weight = state[node.params["weight"]].double() if "weight" in node.params else ones
    bias = state[node.params["bias"]].double() if "bias" in node.params else zeros
    scale = weight / torch.sqrt(var + op.eps)
    return scale, bias - mean * scale
