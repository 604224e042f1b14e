"""``regression``: how large is it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanAbsoluteError, Metric, R2Score

from mase.ir.diagnostics import MaseError
from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import Step, Task
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import at_least_float32, logits_of

__all__ = ["Regression"]


@register_task("regression", "reg")
class Regression(Task):
    """Mean squared error; reports it as the loss, the mean absolute error and R2, the share of variance told.

    The model gives a number for each sample, of shape (samples,) or (samples, 1), or whatever shape the
    target has.
    """

    monitor = "val/loss"

    def metrics(self) -> Mapping[str, Metric]:
        return {"mae": MeanAbsoluteError(), "r2": R2()}

    def step(self, batch: Any) -> Step:
        inputs, target = split_batch(batch)
        prediction = _like(at_least_float32(logits_of(self.call(inputs))), target)
        target = target.to(prediction.dtype)
        return Step(F.mse_loss(prediction, target), prediction, target)

    def distillation_loss(self, student: Step, teacher: Step) -> Tensor:
        return F.mse_loss(student.prediction, teacher.prediction)

    def check(self, batch: Any, probe: Any) -> None:
        inputs, target = split_batch(probe)
        prediction = logits_of(self.call(inputs))
        if _like(prediction, target).shape != target.shape:
            raise MaseError.of(
                f"the model returns shape {tuple(prediction.shape)} for a target of {tuple(target.shape)}",
                help="make it return one number for each number of the target, or choose another task",
            )


class R2(R2Score):
    """The share of the variance that a prediction tells, of all outputs together; none of a single sample.

    Example:
        >>> r2 = R2()
        >>> r2.update(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
        >>> r2.compute()
        tensor(1.)
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Takes predictions and targets of one shape in."""
        super().update(preds.reshape(len(preds), -1).squeeze(1), target.reshape(len(target), -1).squeeze(1))

    def compute(self) -> Tensor:
        """The share so far."""
        return super().compute() if int(self.total) > 1 else torch.tensor(float("nan"))


def _like(prediction: Tensor, target: Tensor) -> Tensor:
    """The prediction in the shape of the target where only a last dimension of 1 is between them."""
    return prediction.squeeze(-1) if prediction.shape == (*target.shape, 1) else prediction
