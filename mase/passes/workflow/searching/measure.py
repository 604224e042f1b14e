"""What a trial is worth: its costs, its metrics after quantization or some steps of training."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Sized
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from mase.ir.dim import size_of
from mase.ir.graph import Graph, Node
from mase.ir.ops.quantized import quantized_op
from mase.passes.analyses.calibration import Split
from mase.passes.analyses.widths import param_width
from mase.passes.context import Context
from mase.passes.pipeline import Pipeline
from mase.passes.transforms.quantize_rules import float_op
from mase.passes.workflow.searching.objectives import Direction
from mase.passes.workflow.teacher import teacher_of
from mase.runtime.training.config import TrainConfig

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule

__all__ = ["Bench", "average_bits", "task_metrics", "weight_sizes"]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where trials are measured, every one in the same way and with nothing left from the one before.

    Args:
        ctx: the context of the run, for its data and source model.
        split: the part of the data.
        batches: how many batches of it to look at; all of them if None.
        task: what is measured.
        steps: optimizer steps to train each trial for before it is measured.
        train: how to.
        measure: a pipeline whose passes record further metrics.
    """

    ctx: Context
    split: Split
    batches: int | None
    task: str
    steps: int
    train: TrainConfig
    measure: str

    def run(self, graph: Graph) -> dict[str, float]:
        """Every metric of a quantized graph.

        Args:
            graph: the graph; it is trained and annotated, so pass a copy.

        Raises:
            MaseError: if training diverges or a pass fails.
        """
        if self.steps:
            self._train(graph)
        return {**self.costs(graph), **self.quality(graph)}

    def quality(self, graph: Graph) -> dict[str, float]:
        """The metrics of the task, such as ``val/accuracy``."""
        from mase.runtime.trainer import evaluate

        data = self.ctx.data
        limited = data if self.batches is None else _limited(data, self.split, self.batches)
        return evaluate(
            self.ctx.lower(graph), limited, self.split, self.task, replace(self.train, progress=False)
        )

    def costs(self, graph: Graph) -> dict[str, float]:
        """What the graph costs by its formats, and whatever the passes of ``measure`` record.

        ``average_bits`` and ``weight_bits`` are bits, ``memory`` bytes.
        """
        ctx = Context(graph, data=self.ctx.data, seed=self.ctx.seed, console=self.ctx.console)
        Pipeline(["cost", self.measure]).run_in(ctx)
        found = {name.replace(" ", "_"): list(values.values())[-1] for name, values in ctx.metrics.items()}
        return {
            "average_bits": average_bits(graph),
            "memory": found["weight_bits"] / 8,
            **{name: float(value) for name, value in found.items()},
        }

    def _train(self, graph: Graph) -> None:
        from mase.runtime.lower import write_back
        from mase.runtime.trainer import fit

        config = replace(
            self.train,
            max_epochs=-1,
            max_steps=self.steps,
            report_to="none",
            progress=False,
            resume=False,
        )
        module = self.ctx.lower(graph)
        with tempfile.TemporaryDirectory(prefix="mase-search-") as folder:
            teacher = teacher_of(graph, self.ctx, config.distill)
            fit(module, self.ctx.data, config, folder, self.task, teacher=teacher)
        write_back(module, graph)


def average_bits(graph: Graph) -> float:
    """The mean width of the weights of all ops that can be quantized, each by its number of parameters.

    Biases do not count, nor weights of ops without a quantized form. A weight that several nodes use
    counts once, at its widest.

    Example:
        >>> from mase.ir import parse_format, parse_type
        >>> from mase.ir.ops import core, integer
        >>> graph = Graph(level="quantized")
        >>> graph.state.declare("weight", parse_type("f32[10,4]"))
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"))
        >>> op = integer.LinearInteger(weight=parse_format("fixed<8,6>"))
        >>> _ = graph.add(op, x, params={"weight": "weight"})
        >>> average_bits(graph)
        8.0
    """
    numbers, bits = weight_sizes(graph.nodes)
    return bits / numbers if numbers else math.nan


def weight_sizes(nodes: Iterable[Node]) -> tuple[int, int]:
    """How many numbers are in the weights that `average_bits` looks at, and in how many bits.

    Args:
        nodes: some nodes of a graph, or all of them.
    """
    found: dict[str, tuple[int, int]] = {}
    for node in nodes:
        made = quantized_op(type(float_op(node.op)))
        if made is not None and "weight" in made.roles and "weight" in node.params:
            state = node.graph.state
            key = state.resolve(node.params["weight"])
            own = size_of(state.entry(key).type.numel, {}), param_width(node, "weight")
            found[key] = max(own, found.get(key, own))
    return sum(numel for numel, _ in found.values()), sum(numel * width for numel, width in found.values())


def task_metrics(ctx: Context, task: str) -> dict[str, Direction]:
    """The metrics of a task, and which way is better.

    Raises:
        MaseError: if there is no such task or the data set is not for it.
    """
    from torch import nn

    from mase.runtime.tasks import make_task

    metrics = make_task(task, nn.Identity(), TrainConfig(), ctx.data).metrics()
    found: dict[str, Direction] = {"loss": "minimize"}
    for name, metric in metrics.items():
        found[name] = "maximize" if metric.higher_is_better else "minimize"
    return found


class _First:
    """The first batches of a loader."""

    def __init__(self, loader: Any, batches: int) -> None:
        self._loader, self._batches = loader, batches

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._loader), self._batches)

    def __len__(self) -> int:
        return min(self._batches, len(cast(Sized, self._loader)))


def _limited(data: LightningDataModule, split: Split, batches: int) -> LightningDataModule:
    """The same data set, of which one split ends early."""
    name = f"{split}_dataloader"
    view = copy(data)
    setattr(view, name, lambda: _First(getattr(data, name)(), batches))
    return view
