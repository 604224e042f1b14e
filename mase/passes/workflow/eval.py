"""``eval``: measure the graph on a split of the data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph
from mase.passes.analyses.calibration import Split
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.workflow.stages import record_metrics, stage_of
from mase.runtime.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

__all__ = ["evaluate_graph"]


@register_pass("eval", needs_data=True)
def evaluate_graph(
    graph: Graph,
    ctx: Context,
    *,
    split: Split = "test",
    task: str | None = None,
    load: str | None = None,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int | str | list[int] = "auto",
    num_nodes: int = 1,
    strategy: str = "auto",
    strategy_options: dict[str, Any] | None = None,
) -> None:
    """Measure the graph in evaluation mode, with the metrics of its task.

    A graph at level ``integer`` runs on the integer interpreter, which checks every value on the way.

    Args:
        graph: the graph; it stays as it is.
        ctx: the context of the run.
        split: the part of the data.
        task: what is measured; by default what the data set says.
        load: a Lightning checkpoint whose weights are used instead of the graph's.
        precision: arithmetic of the float operations, by Lightning's names.
        accelerator: ``"auto"``, ``"cpu"``, ``"gpu"`` or another that Lightning knows.
        devices: how many devices, or which.
        num_nodes: machines that measure together.
        strategy: as for ``train``.
        strategy_options: its arguments.
    """
    from mase.runtime.trainer import evaluate, load_checkpoint

    module = _module(graph, ctx)
    if load is not None and graph.level == "integer":
        raise MaseError.of(
            "load: a checkpoint holds the weights of a graph before legalize-casts",
            help="eval{load=...} the quantized graph, or load it before legalize-casts",
        )
    if load is not None:
        load_checkpoint(module, load)
    config = TrainConfig(
        precision=precision,
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        strategy_options=strategy_options,
    )
    record_metrics(ctx, evaluate(module, ctx.data, split, task or ctx.task, config), stage_of(graph))


def _module(graph: Graph, ctx: Context) -> nn.Module:
    if graph.level != "integer":
        return ctx.lower(graph)
    from mase.runtime.integer import Interpreter

    return Interpreter(graph)
