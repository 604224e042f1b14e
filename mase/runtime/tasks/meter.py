"""What one split measures: the mean loss and the metrics of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from mase.runtime.distributed import among, gathered

__all__ = ["MeanLoss", "Meter"]


class MeanLoss(Metric):
    """The mean of losses, each with its weight; one that is not a number shows.

    torchmetrics' own mean (1.9) drops the weights where it lets numbers that are none pass.

    Example:
        >>> mean = MeanLoss()
        >>> mean.update(torch.tensor(1.0), 3)
        >>> mean.update(torch.tensor(5.0), 1)
        >>> mean.compute()
        tensor(2.)
    """

    full_state_update = False
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        add_state = cast(Any, self).add_state
        add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        add_state("weight", torch.tensor(0), dist_reduce_fx="sum")
        self.total: Tensor
        self.weight: Tensor

    def update(self, loss: Tensor, weight: int) -> None:
        """Takes a batch in."""
        if weight:
            self.total += loss.detach() * weight
            self.weight += weight

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.weight


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
        self.loss = MeanLoss()
        self.metrics = nn.ModuleDict(dict(metrics))

    def update(self, loss: Tensor, prediction: Any, target: Any, *, size: int) -> None:
        """Takes a batch in.

        Args:
            loss: mean loss of the batch.
            prediction: as the metrics want it; None if only the loss counts. A mapping gives each metric its
                own by name, and one that it does not name sees nothing of the batch.
            target: as the metrics want it, a mapping if the prediction is one.
            size: the weight of the loss: samples, or tokens.
        """
        self.loss.update(loss, size)
        if prediction is None:
            return
        for name, metric in self._metrics().items():
            if isinstance(prediction, Mapping):
                if name in prediction:
                    metric.update(_detached(prediction[name]), target[name])
            else:
                metric.update(_detached(prediction), target)

    def drain(self) -> dict[str, Tensor]:
        """The values over all batches since the last time; starts anew.

        A metric that saw nothing in any process, because no batch had a prediction, is left out.
        """
        metrics: dict[str, Any] = {"loss": self.loss, **self._metrics()}
        seen = gathered({name: bool(metric.update_called) for name, metric in metrics.items()})
        values: dict[str, Tensor] = {}
        for name, metric in metrics.items():
            ranks = [rank for rank, saw in enumerate(seen) if saw[name]]
            if ranks:
                values[name] = metric.compute() if len(ranks) == len(seen) else self._of_some(metric, ranks)
        self.reset()
        return values

    def _of_some(self, metric: Metric, ranks: list[int]) -> Tensor:
        """The value where some processes saw nothing: they would not know what to send the others."""

        def compute(group: Any) -> Tensor:
            parts = [part for part in metric.modules() if isinstance(part, Metric)]
            for part in parts:
                part.process_group = group
            value = cast(Any, metric).compute().cpu()
            for part in parts:
                part.process_group = None
            return value

        return among(ranks, compute).to(self.loss.total.device)

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


def _detached(prediction: Any) -> Any:
    return prediction.detach() if isinstance(prediction, Tensor) else prediction
