"""``classification``: which of a fixed number of classes is it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from mase.ir.diagnostics import MaseError
from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import Step, Task
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import at_least_float32, logits_of
from mase.runtime.training.config import TrainConfig

__all__ = ["Classification"]


@register_task("classification", "cls")
class Classification(Task):
    """Cross-entropy over inputs and ``labels``; reports the loss and the accuracy (0 to 1).

    Args:
        model: from inputs to logits of shape (samples, classes, ...).
        config: how to train it.
        data: a data module with ``num_classes``.

    Raises:
        MaseError: if ``data`` has no ``num_classes``.
    """

    monitor = "val/accuracy"

    def __init__(self, model: nn.Module, config: TrainConfig, data: pl.LightningDataModule) -> None:
        num_classes = getattr(data, "num_classes", None)
        if not isinstance(num_classes, int):
            raise MaseError.of(
                f"data module {type(data).__name__} does not say how many classes there are",
                help="give it an attribute `num_classes`",
            )
        self.num_classes = num_classes
        super().__init__(model, config, data)

    def metrics(self) -> Mapping[str, Metric]:
        # Unchecked: the labels were checked before the first step, and the check costs more than the update.
        accuracy = MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)
        return {"accuracy": accuracy}

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        logits = at_least_float32(logits_of(self.call(inputs)))
        return Step(F.cross_entropy(logits, labels), logits, labels)

    def check(self, batch: Any, probe: Any) -> None:
        _, labels = split_batch(batch)
        inputs, few = split_batch(probe)
        logits = logits_of(self.call(inputs))
        if logits.ndim < 2 or len(logits) != len(few):
            raise MaseError.of(
                f"the model returns shape {tuple(logits.shape)} for {len(few)} samples",
                help=f"make it return one row of {self.num_classes} logits for each sample",
            )
        classes = max(self.num_classes, int(labels.max()) + 1)
        if logits.shape[1] < classes:
            raise MaseError.of(
                f"the model returns logits for {logits.shape[1]} classes, but the data have {classes}",
                help=f"give the model's last layer {classes} outputs, or name another [data] source",
            )
