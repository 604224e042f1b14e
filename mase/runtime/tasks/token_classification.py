"""``token-classification``: which label has each word?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import Step
from mase.runtime.tasks.classification import Classification
from mase.runtime.tasks.entities import EntityF1, are_tags
from mase.runtime.tasks.fine_tuning import FINE_TUNING
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import logits_of
from mase.runtime.tasks.tokens import check_tokens, token_loss

__all__ = ["TokenClassification"]


@register_task("token-classification")
class TokenClassification(Classification):
    """Cross-entropy of the labelled tokens; reports the loss, their accuracy, and F1 as the mean over labels.

    Where the labels mark entities (``B-PER``, ``I-PER``, ``O``), ``entity_f1`` is F1 over whole entities, and
    chooses the best epoch.

    A batch holds ``input_ids``, ``attention_mask`` and ``labels`` (samples, tokens), -100 for a token that
    has no label of its own.
    """

    monitor = "val/f1"
    defaults = FINE_TUNING

    def metrics(self) -> Mapping[str, Metric]:
        found: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(self.num_classes, average="micro"),
            "f1": MulticlassF1Score(self.num_classes, average="macro"),
        }
        return found | ({"entity_f1": EntityF1(self._tags)} if self._tags else {})

    @property
    def monitored(self) -> tuple[str, bool]:
        """F1 over entities, where there are some and the user names no other metric."""
        if self._tags and self.config.monitor is None:
            return "val/entity_f1", True
        return super().monitored

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        logits = logits_of(self.call(inputs))
        loss, rows, targets = token_loss(logits, labels)
        prediction: dict[str, Any] = dict.fromkeys(("accuracy", "f1"), rows.argmax(-1))
        wanted: dict[str, Any] = dict.fromkeys(("accuracy", "f1"), targets)
        if self._tags:
            prediction["entity_f1"], wanted["entity_f1"] = logits.argmax(-1), labels
        return Step(loss, prediction, wanted, size=len(targets), logits=rows)

    def check(self, batch: Any, probe: Any) -> None:
        inputs, few = split_batch(probe)
        check_tokens(logits_of(self.call(inputs)), few, split_batch(batch)[1])

    @property
    def _tags(self) -> Sequence[str]:
        """The labels by number, if they mark entities."""
        labels: Sequence[str] = getattr(self.data, "classes", ())
        return labels if are_tags(labels) else ()
