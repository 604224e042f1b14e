"""What a measurement was made on: the float graph, the quantized one, or the trained one."""

from __future__ import annotations

from collections.abc import Mapping

from mase.ir.graph import Graph
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.context import Context

__all__ = ["TRAINED", "float_version", "record_metrics", "stage_of"]

TRAINED = "trained"


def stage_of(graph: Graph) -> str:
    """``trained`` if a train pass ran on the graph since it was last quantized, else its level."""
    if graph.level == "integer":
        return graph.level
    ran = [step.partition("{")[0] for step in graph.header.history]
    last = next((name for name in reversed(ran) if name in ("train", "quantize", "search", "allocate")), "")
    return TRAINED if last == "train" else graph.level


def record_metrics(ctx: Context, metrics: Mapping[str, float], stage: str) -> None:
    """Keep measurements for the table at the end of the run.

    Args:
        ctx: the context of the run.
        metrics: by split and name, such as ``test/accuracy``.
        stage: what they were measured on.
    """
    for name, value in metrics.items():
        ctx.record(name, stage, value)


def float_version(graph: Graph) -> Graph:
    """A copy in which every quantized op is the float op that it was made from.

    Example:
        >>> from mase.ir import parse_format, parse_type
        >>> from mase.ir.ops import core, integer
        >>> graph = Graph(level="quantized")
        >>> x = graph.add(core.Input(), type=parse_type("f32[4]"))
        >>> y = graph.add(integer.ReluInteger(data_in=parse_format("fixed<8,4>")), x, name="y")
        >>> float_version(graph)["y"].op.name
        'nn.relu'
    """
    made = graph.copy()
    for node in made.nodes:
        if isinstance(node.op, QuantizedOp):
            node.op = node.op.float_op
    made.level = "float"
    return made
