"""How much it hurts to quantize one thing alone: measured on calibration data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph
from mase.passes.analyses.calibration import Split
from mase.passes.context import Context
from mase.runtime.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mase.runtime.tasks.base import Step, Task

__all__ = ["MEASURES", "Probe", "Sensitivity"]

Sensitivity = Literal["divergence", "loss", "noise"]
"""What is measured, see `MEASURES`."""


def _divergence(task: Task, ours: Step, theirs: Step) -> Tensor:
    return task.distillation_loss(ours, theirs)


def _loss(task: Task, ours: Step, theirs: Step) -> Tensor:
    return ours.loss - theirs.loss


def _noise(task: Task, ours: Step, theirs: Step) -> Tensor:
    a, b = (step.prediction if step.logits is None else step.logits for step in (ours, theirs))
    return (a - b).square().sum() / b.square().sum()


MEASURES: Mapping[Sensitivity, Callable[[Task, Step, Step], Tensor]] = {
    "divergence": _divergence,
    "loss": _loss,
    "noise": _noise,
}
"""From what the task makes of a batch with and without quantization to a number, for each sensitivity:

``divergence``: how far the outputs are from those before, by the task: the Kullback-Leibler divergence of
the predicted classes (ZeroQ, arXiv:2001.00281), the mean squared distance in regression. Labels do not
matter.
``loss``: by how much the loss of the task rises; may be below 0.
``noise``: the power of what changes in the outputs, as a share of their power: 1 / SQNR (arXiv:2302.05397).
"""


class Probe:
    """Measures graphs on the same batches, each against the graph as it was before.

    Args:
        graph: before anything is allocated.
        ctx: the context of the run, for its data.
        sensitivity: what to measure.
        task: the name of the task.
        split: the part of the data.
        batches: how many batches of it.

    Raises:
        MaseError: if graph, data and task do not go together.
    """

    def __init__(
        self, graph: Graph, ctx: Context, sensitivity: Sensitivity, task: str, split: Split, batches: int
    ) -> None:
        from mase.runtime.training import preflight, session

        self._ctx, self._task, self._measure = ctx, task, MEASURES[sensitivity]
        with session.seeded(ctx.seed):
            loader: Any = preflight.split_loader(ctx.data, split, set_up=True)
            self._batches: list[Any] = list(islice(iter(loader), batches))
        learner = self._learner(graph)
        self._work = preflight.check(learner, self._batches[0])
        self._before = list(self._steps(learner))

    def __call__(self, graph: Graph) -> float:
        """The mean over the batches, each by its size.

        Args:
            graph: with something quantized.

        Raises:
            MaseError: if it is not a number.
        """
        learner = self._learner(graph)
        total, weight = 0.0, 0
        for ours, theirs in zip(self._steps(learner), self._before, strict=True):
            total += float(self._measure(learner, _precise(ours), _precise(theirs))) * theirs.weight
            weight += theirs.weight
        if not math.isfinite(total):
            raise MaseError.of(
                f"the sensitivity is {total / weight}", help="look at the data and the weights with `profile`"
            )
        return total / weight

    def _learner(self, graph: Graph) -> Task:
        from mase.runtime.tasks import make_task

        config = TrainConfig(temperature=1.0)
        return make_task(self._task, self._ctx.lower(graph), config, self._ctx.data).eval()

    def _steps(self, learner: Task) -> Iterator[Step]:
        """What the task makes of each batch, one at a time, for outputs can be large."""
        import torch

        from mase.runtime.training import session

        for batch in self._batches:
            with torch.no_grad(), session.seeded(self._ctx.seed), session.threads(None, work=self._work):
                step = learner.step(batch)
            yield step


def _precise(step: Step) -> Step:
    """With the outputs in float64, so that differences between them are not those of rounding."""
    import torch

    def double(value: Any) -> Any:
        return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    return replace(step, prediction=double(step.prediction), logits=double(step.logits))
