"""Completing formats: the fraction of ``fixed<8>`` from statistics or by the least squared error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format, Uncalibrated
from mase.ir.formats import Fixed, Integer
from mase.ir.graph import Graph, Node
from mase.ir.ops.conv import Conv, ConvTranspose
from mase.ir.ops.nn import Linear
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.analyses.calibration import Split, collect_sketches
from mase.passes.analyses.sketch import Sketch, sketch
from mase.passes.analyses.statistics import Statistics
from mase.passes.context import Context
from mase.passes.transforms.choose_scales import least_error_scale, least_error_scales, scale_of_range
from mase.passes.transforms.nonlinear import function_range
from mase.passes.transforms.quantize_rules import float_op

if TYPE_CHECKING:
    from torch import Tensor

    from mase.runtime.kernels import Scale

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
        self,
        node: Node,
        made: type[QuantizedOp],
        formats: Mapping[str, Format | None],
        *,
        by_table: bool = False,
    ) -> dict[str, Format | None]:
        """The formats of a node with every free parameter chosen.

        A bias without a format gets a 32-bit one at the scale of the products, where integer
        hardware adds it.

        Args:
            node: the node, still in float.
            made: the quantized op that it is to become.
            formats: by role; absent and None leave an operand in float.
            by_table: whether the result of a function of one number takes the function's range, and not
                what was seen.

        Raises:
            MaseError: if statistics are needed and neither they nor data are at hand, or a weight
                is not finite.
        """
        known = (*made.roles, "data_out")
        done = dict.fromkeys(made.roles) | {r: f for r, f in formats.items() if r in known}
        for role, format in done.items():
            if isinstance(format, Uncalibrated):
                whole = function_range(float_op(node.op), done) if by_table and role == "data_out" else None
                done[role] = format.fit(*whole) if whole else self._fit(node, role, format)
        if "bias" in done and "bias" not in formats and self._adds_bias(node):
            done["bias"] = self._bias(node, done)
        return done

    def _fit(self, node: Node, role: str, format: Uncalibrated) -> Format:
        if role == "probs":
            return format.fit(0.0, 1.0)
        if not self._sources(node, role):
            return self._for_weight(node, role, format)
        if known := self.range(node, role):
            return format.fit(*known)
        return self._choose(format, self.sketch(node, role, format))

    def scale(self, node: Node, role: str, format: Integer) -> Scale:
        """The scale of an operand: that of its whole range, or the one with the least squared error.

        Args:
            node: the node, still in float.
            role: one of its operands.
            format: a format with one scale for the tensor.

        Raises:
            MaseError: if neither statistics nor data are at hand.
        """
        if known := self.range(node, role):
            return scale_of_range(format, *known)
        found = self.sketch(node, role, format)
        if self._calibrate == "range" or not found.count:
            return scale_of_range(format, found.min, found.max)
        return least_error_scale(format, found.min, found.max, found.squared_error)

    def weight_scale(self, node: Node, role: str, format: Integer) -> Scale:
        """The scale of a weight, or of each of its channels or groups, by the same rule.

        Args:
            node: the node, still in float.
            role: one of its weights.
            format: its format.
        """
        from mase.runtime.kernels import scale_of

        (weight,) = self._tensors(node, role)
        if self._calibrate == "mse":
            return least_error_scales(format, weight)
        found = scale_of(weight, format)
        assert found is not None
        return found

    # -- operands ---------------------------------------------------------------------------

    def _sources(self, node: Node, role: str) -> list[Node]:
        """The values that are quantized in a role; none if it is a weight."""
        own = self._graph[node.name]
        if role == "data_out":
            return [own]
        return [source for name, source in own.named_inputs if name == role]

    def range(self, node: Node, role: str) -> tuple[float, float] | None:
        """The least and the largest number, if statistics say them and nothing else is needed."""
        if self._calibrate != "range" or self._sketches is not None:
            return None
        found = [source.meta.get(Statistics) for source in self._sources(node, role)]
        known = [statistics for statistics in found if statistics is not None]
        if len(known) < len(found):
            return None
        return min(k.min for k in known), max(k.max for k in known)

    def sketch(self, node: Node, role: str, format: Format) -> Sketch:
        """What was seen of an operand, whichever operands have its role."""
        first, *others = [self._sketch(node, source, format) for source in self._sources(node, role)]
        if not others:
            return first
        merged = Sketch()
        for each in (first, *others):
            merged.merge(each)
        return merged

    def _sketch(self, node: Node, source: Node, format: Format) -> Sketch:
        if self._sketches is None:
            if not self._ctx.has_data:
                raise MaseError.of(
                    f"{format} needs statistics of {source.name!r}, and there is no data to take them from",
                    node=node.name,
                    source=node.loc,
                    help="run profile first, give [data], or write the fraction, as in fixed<8,4>"
                    if isinstance(format, Uncalibrated)
                    else 'run profile first, give [data], or say quantize{scales="dynamic"}',
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

    def _adds_bias(self, node: Node) -> bool:
        """Whether the node adds a bias to exact products."""
        op = float_op(node.op)
        contracts = isinstance(op, Linear | Conv | ConvTranspose) and "bias" in node.params
        return contracts or isinstance(op, BatchNorm)

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
    from mase.runtime.modules.norm import affine

    op, state = float_op(node.op), node.graph.state
    assert isinstance(op, BatchNorm)
    weight, bias = (state[node.params[r]] if r in node.params else None for r in ("weight", "bias"))
    return affine(weight, bias, state[node.params["running_mean"]], state[node.params["running_var"]], op.eps)
