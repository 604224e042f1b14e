"""``value-range``: what every integer of a graph may be, proved from the real weights, or seen on data."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from mase.ir.annotations import register_annotation
from mase.ir.diagnostics import MaseError, UsageError
from mase.ir.graph import Graph, Node
from mase.ir.ops.exact import Interval, RoundsAlike
from mase.ir.ranges import ranges_of
from mase.passes.analyses.calibration import Split, model_inputs
from mase.passes.context import Context
from mase.passes.registry import register_pass

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SeenRange", "ValueRange", "value_range"]

_SIGNIFICANT = {"float32": 24, "float64": 53}


@register_annotation("value_range")
class ValueRange:
    """Every integer of a value lies in ``[min, max]``: a proof, not a measurement.

    Args:
        min: the least that an element can be.
        max: the greatest.
        width: bits of the narrowest signed integer that holds both.

    Example:
        >>> ValueRange(min=-100, max=100, width=8).held_by
        'float32'
    """

    min: int
    max: int
    width: int

    @property
    def held_by(self) -> str | None:
        """The narrowest float type that holds every integer of the range; None if float64 does not.

        The fake-quantized module sums in that type, or a wider one.
        """
        largest = max(abs(self.min), abs(self.max))
        return next((name for name, bits in _SIGNIFICANT.items() if largest <= 2**bits), None)


@register_annotation("seen_range")
class SeenRange:
    """The integers that a value had on data: for a report, never for a proof.

    Args:
        min: the least that was seen.
        max: the greatest.
        width: bits of the narrowest signed integer that holds both.
        batches: how many batches were looked at.
    """

    min: int
    max: int
    width: int
    batches: int


@register_pass("value-range", requires=("integer",))
def value_range(
    graph: Graph,
    ctx: Context,
    *,
    source: Literal["weights", "data"] = "weights",
    batches: int = 8,
    split: Split = "test",
) -> None:
    """Annotate every integer value with the range that it can have; ``report`` shows it.

    By ``weights`` the range is proved: inputs may be whatever their types hold, and a layer's result is the
    largest and smallest sum that its real weights make of them, output by output. Of graphs that were
    quantized with ``requant=dyadic`` it counts the requantizations that are proved to round as those did. By
    ``data`` it is what batches showed, beside the proved one, which it does not replace: the difference is
    what an accumulator would save if overflow were risked.

    A value beyond 24 bits is noted: float32 does not hold it, so the fake-quantized module computes it in
    float64, as it must to equal the integers. Beyond 53 bits no float does, and the module refuses the layer.

    Args:
        graph: a graph at level ``integer``.
        ctx: the context of the run.
        source: where ranges come from.
        batches: how many batches to look at, with ``source=data``.
        split: the part of the data to take them from.

    Raises:
        MaseError: if the weights are not at hand, or there is no data.
    """
    if source == "data":
        _observe(graph, ctx, batches, split)
        return
    found = ranges_of(graph)
    if found.unproven:
        raise MaseError.of(
            f"the weights of {len(found.unproven)} nodes are not at hand",
            node=found.unproven[0],
            help="load the graph from its file (mase.load), not from its text alone",
        )
    for name, interval in found.intervals.items():
        node = graph[name]
        own = ValueRange(min=interval.min, max=interval.max, width=interval.width)
        node.meta.set(own)
        ctx.stat("values")
        _tell_of_wide(node, own, ctx)
    for node in graph.nodes:
        if (proof := node.meta.get(RoundsAlike)) is not None:
            ctx.stat("requantizations proved" if not proof.doubtful else "requantizations not proved")
    widest = max((i.width for i in found.intervals.values()), default=0)
    ctx.record("widest value", graph.level, widest)


def _tell_of_wide(node: Node, own: ValueRange, ctx: Context) -> None:
    """Say which values need more than the usual float to be simulated exactly."""
    if own.held_by == "float32":
        return
    ctx.stat("wider than float32 holds")
    if own.held_by is None:
        ctx.warn(f"{own.width} bits are more than any float holds", node, help="choose narrower formats")
    else:
        ctx.note(f"{own.width} bits are more than float32 holds: the module computes in {own.held_by}", node)


def _observe(graph: Graph, ctx: Context, batches: int, split: Split) -> None:
    if batches < 1:
        raise UsageError.of(f"value-range: batches is {batches}", help="look at one batch at least")
    from mase.runtime.integer import Interpreter
    from mase.runtime.training.preflight import split_loader

    seen: dict[str, Interval] = {}

    def watch(name: str, value: Tensor) -> None:
        if not value.is_floating_point() and value.numel():
            low, high = (int(end) for end in value.aminmax())
            known = seen.get(name, Interval(low, high))
            seen[name] = Interval(min(low, known.min), max(high, known.max))

    interpreter = Interpreter(graph, watch=watch)
    count = 0
    loader: Any = split_loader(ctx.data, split, set_up=True)
    for batch in islice(loader, batches):
        interpreter(*model_inputs(batch, graph))
        count += 1
    for name, interval in seen.items():
        graph[name].meta.set(
            SeenRange(min=interval.min, max=interval.max, width=interval.width, batches=count)
        )
        ctx.stat("values")
