"""``legalize-casts``: every cast an explicit node, every value an integer."""

from __future__ import annotations

from typing import Literal

from mase.ir.graph import Graph
from mase.ir.ops.exact import ExactOp, Requantize
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["legalize_casts"]


@register_pass("legalize-casts", requires=("quantized",), ensures="integer", changes_numbers=True)
def legalize_casts(graph: Graph, ctx: Context, *, boundary: Literal["float", "codes"] = "float") -> None:
    """Turn a quantized graph into one of integers alone, which hardware executes as it is.

    Operand quantizers become ``int.requantize`` nodes: a shift where scales are powers of two, else a
    multiplication by a 31-bit number and a shift. Weights and biases become integer constants, accumulators
    get the width that the real weights need. A graph of fixed-point ops computes the very numbers that it
    did before. Scales of ``int<W>`` are met to within ``2**-31``, and biases beside them rounded to the
    accumulator's scale: the numbers are those of a graph that was quantized with ``requant=dyadic``, and
    differ now and then from those of one that rescales in float32.

    Args:
        graph: the graph: every op of it in ``fixed<W,F>``, or ``int<W>`` with static scales.
        ctx: the context of the run.
        boundary: ``float`` puts an ``int.quantize`` at each float input and an ``int.dequantize`` at each
            output; with ``codes`` the graph takes and gives codes.

    Raises:
        MaseError: naming every node that stays in float, and what to do about it.
    """
    from mase.passes.legalize import Legalizer

    made = Legalizer(graph, ctx, boundary).run()
    graph.become(made)
    ctx.stat("integer ops", sum(isinstance(n.op, ExactOp) for n in graph.nodes))
    ctx.stat("requantizations", len(graph.find(Requantize)))
