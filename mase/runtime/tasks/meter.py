"""What one split measures: the mean loss and the metrics of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

__all__ = ["Meter"]


class Meter(nn.Module):
    """The metrics of one split; each split has its own, so none sees the samples of another.

    Args:
        metrics: by name; the loss is added to them.

    Example:
        >>> import torch
        >>> from torchmetrics.classification import MulticlassAccuracy
        >>> meter = Meter({"accuracy": MulticlassAccuracy(2)})
        >>> meter.update(torch.tensor(0.5), torch.eye(2), torch.tensor([0, 1]), size=2)
        >>> meter.drain()
        {'loss': tensor(0.5000), 'accuracy': tensor(1.)}
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")  # a loss that is not a number has to show
        self.metrics = nn.ModuleDict(dict(metrics))

    def update(self, loss: Tensor, prediction: Tensor, target: Tensor, *, size: int) -> None:
        """Takes a batch in.

        Args:
            loss: mean loss of the batch.
            prediction: as the metrics want it.
            target: as the metrics want it.
            size: samples in the batch, the weight of its loss.
        """
        # Repeated, because torchmetrics (1.9) drops weights where it lets numbers that are none pass.
        self.loss.update(loss.detach().expand(size))
        for metric in self._metrics().values():
            metric.update(prediction.detach(), target)

    def drain(self) -> dict[str, Tensor]:
        """The values over all batches since the last time; starts anew."""
        values = {name: metric.compute() for name, metric in {"loss": self.loss, **self._metrics()}.items()}
        self.reset()
        return values

    def reset(self) -> None:
        """Forgets every batch."""
        self.loss.reset()
        for metric in self._metrics().values():
            metric.reset()

    def higher_is_better(self, name: str) -> bool:
        """Whether more of this metric is better."""
        return bool(name != "loss" and self._metrics()[name].higher_is_better)

    def names(self) -> list[str]:
        """The metrics that `drain` returns."""
        return ["loss", *self._metrics()]

    def _metrics(self) -> dict[str, Any]:
        return dict(self.metrics.items())  # torchmetrics leaves `update` and `compute` without types
