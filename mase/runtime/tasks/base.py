"""What every task shares: steps, one set of metrics a split, optimizer and schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.tasks.meter import Meter
from mase.runtime.training.config import TrainConfig
from mase.runtime.training.optimizers import make_optimizer
from mase.runtime.training.schedules import make_scheduler

__all__ = ["SPLITS", "Split", "Step", "Task"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Step:
    """What a task makes of a batch.

    Args:
        loss: mean over the batch, in float32 at least.
        prediction: what the metrics compare.
        target: what they compare it with.
    """

    loss: Tensor
    prediction: Tensor
    target: Tensor


class Task(pl.LightningModule, ABC):
    """Base of the tasks: a subclass names its metrics and says how a batch becomes a loss.

    The model is the submodule ``model``, so a checkpoint holds its keys with the prefix ``model.``, and
    nothing else: metrics are not saved.

    Args:
        model: what is trained or evaluated.
        config: how to train it.
        data: what it learns.

    Example:
        A whole task::

            @register_task("regression")
            class Regression(Task):
                monitor = "val/mae"

                def metrics(self):
                    return {"mae": MeanAbsoluteError()}

                def step(self, batch):
                    inputs, target = batch
                    prediction = at_least_float32(logits_of(self.model(inputs)))
                    return Step(F.mse_loss(prediction, target), prediction, target)
    """

    monitor: ClassVar[str] = "val/loss"
    """The metric that chooses the best epoch unless the user names another."""

    def __init__(self, model: nn.Module, config: TrainConfig, data: pl.LightningDataModule) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.data = data
        self.evaluated: Split = "test"
        self._meters: dict[str, Meter] = {split: Meter(self.metrics()) for split in SPLITS}
        for split, meter in self._meters.items():
            self.add_module(f"{split}_meter", meter)  # so that Lightning moves it to the device

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """New metrics for one split, by the names that they are reported under."""

    @abstractmethod
    def step(self, batch: Any) -> Step:
        """From a batch of the data set to its loss."""

    def check(self, batch: Any, probe: Any) -> None:
        """Says before training starts if the model cannot learn from such a batch.

        Args:
            batch: a batch of the data set.
            probe: its first samples, enough to run the model on.

        Raises:
            MaseError: if so, with the remedy.
        """
        self.step(probe)

    @property
    def monitored(self) -> tuple[str, bool]:
        """The metric that chooses the best epoch, and whether more of it is better.

        Raises:
            MaseError: if the user named a metric that this task does not have.
        """
        name = self.config.monitor or self.monitor
        known = [f"val/{metric}" for metric in self._meters["val"].names()]
        if name not in known:
            raise MaseError.of(f"unknown metric {name!r} to monitor", help=did_you_mean(name, known))
        return name, self._meters["val"].higher_is_better(name.removeprefix("val/"))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._measure("train", batch)
        self.log("train/step_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._measure("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._measure(self.evaluated, batch)

    def on_train_epoch_end(self) -> None:
        self._report("train")

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self._report(self.evaluated)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        steps: float = self.trainer.estimated_stepping_batches
        if self.config.max_steps >= 0:
            steps = min(steps, self.config.max_steps)
        optimizer, scheduler = self.make_optimizer(steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def make_optimizer(self, total_steps: float) -> tuple[Optimizer, LRScheduler]:
        """The optimizer and the course of its learning rate over a run of so many steps.

        Raises:
            MaseError: if the configuration names one that does not exist or cannot train this model.
        """
        config = self.config
        optimizer = make_optimizer(
            config.optimizer,
            self.model.parameters(),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        return optimizer, make_scheduler(
            config.scheduler, optimizer, warmup_steps=config.warmup_steps, total_steps=total_steps
        )

    def _measure(self, split: Split, batch: Any) -> Tensor:
        step = self.step(batch)
        self._meters[split].update(step.loss, step.prediction, step.target, size=len(step.target))
        return step.loss

    def _report(self, split: Split) -> None:
        values = self._meters[split].drain()
        self.log_dict({f"{split}/{name}": value for name, value in values.items()})
