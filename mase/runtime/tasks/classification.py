"""``classification``: which of a fixed number of classes is it?"""

from __future__ import annotations

from collections.abc import Mapping

from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from mase.runtime.tasks import register_task
from mase.runtime.tasks.classifier import Classifier

__all__ = ["Classification"]

TOP = 5


@register_task("classification", "cls", "image-classification")
class Classification(Classifier):
    """Cross-entropy; reports the loss, the accuracy and from six classes on the top-5 accuracy (0 to 1)."""

    monitor = "val/accuracy"

    def metrics(self) -> Mapping[str, Metric]:
        # Unchecked: the labels were checked before the first step, and the check costs more than the update.
        metrics: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)
        }
        if self.num_classes > TOP:
            metrics["top5"] = MulticlassAccuracy(
                self.num_classes, top_k=TOP, average="micro", validate_args=False
            )
        return metrics
