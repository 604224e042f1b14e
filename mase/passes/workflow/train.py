"""``train``: train the lowered graph on Lightning and write the weights back."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mase.ir.graph import Graph
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.printer import dumps
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.workflow.stages import TRAINED, float_version, record_metrics
from mase.passes.workflow.teacher import teacher_of
from mase.runtime.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Train"]


@register_pass("train", requires=("float", "quantized"), needs_data=True, changes_numbers=True)
class Train(TrainConfig):
    """Train the graph and keep the weights of the best epoch.

    A quantized graph trains with straight-through gradients (quantization-aware training). A run that
    was cut off goes on from its last complete epoch when the same command starts again, and one that
    was complete when a later pass was cut off is not repeated. Checkpoints and logs go beside the output
    file.

    Args:
        task: what is learned; by default what the data set says.
        baseline: measure the graph before training too, and a quantized one also in float.
        init: a Lightning checkpoint to start from.
    """

    task: str | None = None
    baseline: bool = True
    init: str | None = None

    def run(self, graph: Graph, ctx: Context) -> None:
        """Train ``graph`` in place."""
        from mase.runtime.lower import write_back
        from mase.runtime.trainer import check_fit, fit, load_checkpoint

        task = self.task or ctx.task
        module = ctx.lower(graph)
        check_fit(module, ctx.data, self, task)
        if self.baseline and not self.fast_dev_run:
            _baseline(graph, ctx, task, self)
        if self.init is not None:
            load_checkpoint(module, self.init)
            write_back(module, graph)
        teacher = teacher_of(graph, ctx, self.distill)
        config = replace(self, seed=ctx.seed if self.seed is None else self.seed)
        with _folder(ctx) as folder:
            metrics = fit(
                *(module, ctx.data, config, folder, task),
                teacher=teacher,
                identity=dumps(graph),
                cut_off=ctx.cut_off,
                say=ctx.note,
            )
        write_back(module, graph)
        record_metrics(ctx, metrics, TRAINED)


def _baseline(graph: Graph, ctx: Context, task: str, config: TrainConfig) -> None:
    from mase.runtime.trainer import evaluate

    if graph.find(QuantizedOp):
        module: nn.Module = ctx.lower(float_version(graph))
        record_metrics(ctx, evaluate(module, ctx.data, "test", task, config), "float")
    record_metrics(ctx, evaluate(ctx.lower(graph), ctx.data, "test", task, config), graph.level)


@contextmanager
def _folder(ctx: Context) -> Generator[Path]:
    """The run's folder, or one that is gone afterwards if the run keeps no files."""
    if ctx.output_dir is None:
        with tempfile.TemporaryDirectory(prefix="mase-train-") as folder:
            yield Path(folder)
    else:
        yield ctx.output_dir
        ctx.wrote(ctx.output_dir / "training_ckpts", "checkpoints")
