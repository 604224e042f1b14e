"""``tabular-classification``: which class is this row of a table, and how well is each class told apart?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy, MulticlassAUROC

from mase.runtime.tasks import register_task
from mase.runtime.tasks.classifier import Classifier

__all__ = ["TabularClassification"]


@register_task("tabular-classification", "tabular", "physics")
class TabularClassification(Classifier):
    """Cross-entropy; reports the loss, the accuracy and areas under the ROC curve (all 0 to 1).

    ``auroc`` is the mean over the classes, ``auroc_NAME`` tells one class from all others. Two classes have
    the same area, and it is reported once.
    """

    monitor = "val/accuracy"

    def metrics(self) -> Mapping[str, Metric]:
        metrics: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(self.num_classes, average="micro", validate_args=False),
            "auroc": MeanArea(self.num_classes, validate_args=False),
        }
        if self.num_classes > 2:
            for label, name in enumerate(self._names()):
                metrics[f"auroc_{name}"] = OneAgainstAll(label)
        return metrics

    def _names(self) -> list[str]:
        """The classes by names that a table of results can hold; by label where there are none."""
        labels = [str(label) for label in range(self.num_classes)]
        given = [re.sub(r"\W+", "_", str(name)) for name in getattr(self.data, "classes", ())]
        return given if len(set(given)) == self.num_classes else labels


class MeanArea(MulticlassAUROC):
    """The mean over the classes of the areas under the ROC curves.

    torchmetrics (1.9) takes the logits of a batch for probabilities where all of them happen to lie between 0
    and 1, so that the area would depend on which samples are in a batch.

    Example:
        >>> import torch
        >>> area = MeanArea(3)
        >>> for logits in torch.eye(3), 9 * torch.eye(3):
        ...     area.update(logits, torch.tensor([0, 1, 2]))
        >>> area.compute()
        tensor(1.)
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Takes logits of shape (samples, classes) and labels in."""
        super().update(preds.softmax(1), target)


class OneAgainstAll(BinaryAUROC):
    """The area under the ROC curve of one class among several.

    Args:
        label: the class.

    Example:
        >>> import torch
        >>> area = OneAgainstAll(2)
        >>> area.update(torch.eye(3), torch.tensor([0, 1, 2]))
        >>> area.compute()
        tensor(1.)
    """

    def __init__(self, label: int) -> None:
        super().__init__(validate_args=False)
        self.label = label

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Takes logits of shape (samples, classes) and labels in."""
        super().update(preds.softmax(1)[:, self.label], (target == self.label).long())
