"""``text-classification``: which label has a text, or a pair of texts?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
)

from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import Step
from mase.runtime.tasks.classification import Classification
from mase.runtime.tasks.fine_tuning import FINE_TUNING

__all__ = ["TextClassification"]


@register_task("text-classification", "sequence-classification")
class TextClassification(Classification):
    """Cross-entropy; reports the loss, the accuracy, F1 and the correlation coefficient of Matthews.

    F1 is that of label 1 where there are two labels, else the mean over the labels. A batch holds
    ``input_ids``, ``attention_mask`` (samples, tokens), perhaps ``token_type_ids``, and ``labels`` (samples).
    """

    defaults = FINE_TUNING

    def metrics(self) -> Mapping[str, Metric]:
        count = self.num_classes
        f1 = BinaryF1Score() if count == 2 else MulticlassF1Score(count, average="macro")
        return {
            "accuracy": MulticlassAccuracy(count, average="micro"),
            "f1": f1,
            "matthews": MulticlassMatthewsCorrCoef(count),
        }

    def step(self, batch: Any) -> Step:
        step = super().step(batch)
        return replace(step, prediction=step.prediction.argmax(-1), logits=step.prediction)
