"""What the tasks that choose among classes share: the loss and the checks."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import nn

from mase.ir.diagnostics import MaseError
from mase.runtime.tasks.base import Step, Task
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import at_least_float32, logits_of
from mase.runtime.training.config import TrainConfig

__all__ = ["Classifier"]


class Classifier(Task):
    """Cross-entropy over inputs and ``labels``; a subclass adds its metrics, on logits.

    Args:
        model: from inputs to logits of shape (samples, classes, ...).
        config: how to train it.
        data: a data module with ``num_classes``.

    Raises:
        MaseError: if ``data`` has no ``num_classes``.
    """

    smooths_labels = True

    def __init__(self, model: nn.Module, config: TrainConfig, data: pl.LightningDataModule) -> None:
        num_classes = getattr(data, "num_classes", None)
        if not isinstance(num_classes, int) or num_classes < 1:
            raise MaseError.of(
                f"data module {type(data).__name__} does not say how many classes there are",
                help="give it an attribute `num_classes`, or choose another task",
            )
        self.num_classes = num_classes
        super().__init__(model, config, data)

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        logits = at_least_float32(logits_of(self.call(inputs)))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return Step(loss, logits, labels)

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
