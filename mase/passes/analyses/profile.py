"""``profile``: the numbers that values and weights take."""

from __future__ import annotations

from mase.ir.diagnostics import UsageError
from mase.ir.graph import Graph
from mase.passes.analyses.calibration import Split, collect_sketches, weight_sketches
from mase.passes.analyses.statistics import LEVELS, ParamStatistics
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["profile"]


@register_pass("profile", needs_data=True)
def profile(
    graph: Graph,
    ctx: Context,
    *,
    batches: int = 8,
    split: Split = "train",
    quantiles: tuple[float, ...] = LEVELS,
) -> None:
    """Annotate every value and weight with its minimum, maximum, mean, variance and quantiles.

    The graph runs in evaluation mode and stays as it is. Memory does not depend on ``batches``.
    Infinities are counted apart and warned of: every quantizer saturates them.

    Args:
        graph: the graph.
        ctx: the context of the run.
        batches: how many batches to look at; all of them if there are fewer.
        split: the part of the data to take them from.
        quantiles: which to keep, between 0 and 1.

    Raises:
        MaseError: naming the node if a value holds NaN, the tensor if a weight is not finite.
    """
    if batches < 1:
        raise UsageError.of(f"profile: batches is {batches}", help="look at one batch at least")
    if not all(0 <= level <= 1 for level in quantiles):
        raise UsageError.of(f"profile: quantiles are {list(quantiles)}", help="give levels between 0 and 1")
    for node in graph.nodes:
        if weights := weight_sketches(node):
            node.meta.set(ParamStatistics(roles={r: s.statistics(quantiles) for r, s in weights.items()}))
            ctx.stat("weights", len(weights))
    found = collect_sketches(
        graph,
        ctx.data,
        batches=batches,
        split=split,
        source_model=ctx.source_of(graph),
        console=ctx.console,
    )
    for name, sketch in found.items():
        if sketch.infinite:
            ctx.warn(f"{sketch.infinite} infinities, which quantizers saturate", graph[name])
        if sketch.count:
            graph[name].meta.set(sketch.statistics(quantiles))
            ctx.stat("values")
