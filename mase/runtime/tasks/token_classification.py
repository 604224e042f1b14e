"""``token-classification``: which label has each word?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import Step
from mase.runtime.tasks.classification import Classification
from mase.runtime.tasks.fine_tuning import FINE_TUNING
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import logits_of
from mase.runtime.tasks.tokens import check_tokens, token_loss

__all__ = ["TokenClassification"]


@register_task("token-classification")
class TokenClassification(Classification):
    """Cross-entropy of the labelled tokens; reports the loss, their accuracy, and F1 as the mean over labels.

    A batch holds ``input_ids``, ``attention_mask`` and ``labels`` (samples, tokens), -100 for a token that
    has no label of its own.
    """

    monitor = "val/f1"
    defaults = FINE_TUNING

    def metrics(self) -> Mapping[str, Metric]:
        return {
            "accuracy": MulticlassAccuracy(self.num_classes, average="micro"),
            "f1": MulticlassF1Score(self.num_classes, average="macro"),
        }

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        loss, rows, targets = token_loss(logits_of(self.call(inputs)), labels)
        return Step(loss, rows.argmax(-1), targets, logits=rows)

    def check(self, batch: Any, probe: Any) -> None:
        inputs, few = split_batch(probe)
        check_tokens(logits_of(self.call(inputs)), few, split_batch(batch)[1])
