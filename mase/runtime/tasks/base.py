"""What every task shares: steps, one set of metrics a split, optimizer and schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, cast, get_args

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torchmetrics import Metric

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.data.shuffle import Share
from mase.runtime.distributed import align_buffers
from mase.runtime.tasks.inputs import arguments_of
from mase.runtime.tasks.meter import Meter
from mase.runtime.training.config import TrainConfig
from mase.runtime.training.distillation import Distillation, soft_loss
from mase.runtime.training.groups import Group, parameter_groups, parameter_kinds
from mase.runtime.training.optimization import resolve
from mase.runtime.training.optimizers import make_optimizer
from mase.runtime.training.schedulers import Course, make_course

__all__ = ["SPLITS", "Split", "Step", "Task"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Step:
    """What a task makes of a batch.

    Args:
        loss: mean over the batch, in float32 at least.
        prediction: what the metrics compare; None where a batch has a loss alone, as in the training of a
            model that is measured by what it generates; a mapping where metrics by name compare
            different things.
        target: what they compare it with; a mapping if the prediction is one.
        size: weight of the loss in the mean over batches: samples, or tokens for a language model. By
            default the length of the target.
        logits: (rows, classes), what distillation compares; by default the prediction.
    """

    loss: Tensor
    prediction: Any
    target: Any
    size: int | None = None
    logits: Tensor | None = None

    @property
    def weight(self) -> int:
        """The weight of the loss."""
        return len(self.target) if self.size is None else self.size


class Task(pl.LightningModule, ABC):
    """Base of the tasks: a subclass names its metrics and says how a batch becomes a loss.

    A batch is a pair ``(inputs, target)`` or a mapping of tensors by name; `split_batch` takes both apart
    and `call` runs the model on the inputs of either.

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
                defaults = {"optimizer": "adamw", "scheduler": "cosine", "warmup": 0.1}

                def metrics(self):
                    return {"mae": MeanAbsoluteError()}

                def step(self, batch):
                    inputs, target = split_batch(batch)
                    prediction = at_least_float32(logits_of(self.call(inputs)))
                    return Step(F.mse_loss(prediction, target), prediction, target)
    """

    monitor: ClassVar[str] = "val/loss"
    """The metric that chooses the best epoch unless the user names another."""
    defaults: ClassVar[Mapping[str, object]] = {}
    """What the task takes for settings of `Optimization` that the user leaves open."""
    smooths_labels: ClassVar[bool] = False
    """Whether its loss heeds `label_smoothing`."""

    def __init__(self, model: nn.Module, config: TrainConfig, data: pl.LightningDataModule) -> None:
        super().__init__()
        if config.label_smoothing and not self.smooths_labels:
            raise MaseError.of(f"{type(self).__name__} smooths no labels", help="leave label_smoothing out")
        self.model = model
        self.config = config
        self.optimization = resolve(config, self.defaults)
        self.data = data
        self._kinds = parameter_kinds(model)  # now, for a strategy may split each parameter
        self.distillation: Distillation | None = None
        self.evaluated: Split = "test"
        self._course: Course
        self._meters: dict[str, Meter] = {split: Meter(self.metrics()) for split in SPLITS}
        for split, meter in self._meters.items():
            self.add_module(f"{split}_meter", meter)  # so that Lightning moves it to the device

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """New metrics for one split, by the names that they are reported under."""

    @abstractmethod
    def step(self, batch: Any) -> Step:
        """From a batch of the data set to its loss."""

    def evaluation_step(self, batch: Any) -> Step:
        """What is measured on a batch; by default `step`, and something else where a model generates."""
        return self.step(batch)

    def distillation_loss(self, student: Step, teacher: Step) -> Tensor:
        """How far the student is from the teacher on a batch; here by their logits.

        Args:
            student: of the model that learns.
            teacher: of the other; it has no gradient.
        """
        ours, theirs = (s.prediction if s.logits is None else s.logits for s in (student, teacher))
        return soft_loss(ours, theirs, self.config.temperature)

    def call(self, inputs: Any) -> Any:
        """The model's output: a mapping is given by keyword, as far as the model takes its names.

        Args:
            inputs: of a batch.

        Raises:
            MaseError: if the model needs an input that a mapping lacks.
        """
        if isinstance(inputs, Mapping):
            return self.model(**arguments_of(self.model, cast("Mapping[str, Any]", inputs)))
        return self.model(inputs)

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
    def label_smoothing(self) -> float:
        """How much to smooth the labels of a batch: nothing where the model is measured."""
        return self.config.label_smoothing if self.training else 0.0

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the run as it holds, the task's own choices among them."""
        return {**asdict(self.config), **asdict(self.optimization), "monitor": self.monitored[0]}

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
        step = self.step(batch)
        self._count("train", step)
        loss = self.distillation.loss(step, batch) if self.distillation else step.loss
        self.log("train/step_loss", loss, batch_size=step.weight)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._measure("val", batch, batch_idx, self.trainer.val_dataloaders)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._measure(self.evaluated, batch, batch_idx, self.trainer.test_dataloaders)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The keys of a float graph and of the quantized one made from it are the same.
        checkpoint["level"] = getattr(self.model, "meta", {}).get("level")

    def on_fit_start(self) -> None:
        if self.distillation:
            self.distillation.prepare(self.trainer)

    def on_train_epoch_end(self) -> None:
        self._report("train")
        self._course.end_epoch(float(self.trainer.callback_metrics[self.monitored[0]]))

    def on_validation_start(self) -> None:
        align_buffers(self.model)  # what is measured is what the checkpoint will hold
        self._share_buffers(False)  # not again with each batch

    def on_validation_end(self) -> None:
        self._share_buffers(True)

    def _share_buffers(self, on: bool) -> None:
        wrapped = self.trainer.strategy.model
        if isinstance(wrapped, DistributedDataParallel):
            wrapped.broadcast_buffers = on

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self._report(self.evaluated)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        wrapped: Any = self.trainer.strategy.model
        if hasattr(wrapped, "clip_grad_norm_") and gradient_clip_val and gradient_clip_algorithm != "value":
            wrapped.clip_grad_norm_(gradient_clip_val)  # of fsdp: the norm of all the parts together
            return
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        steps: float = self.trainer.estimated_stepping_batches
        if self.config.max_steps >= 0:
            steps = min(steps, self.config.max_steps)
        optimizer, self._course = self.make_optimizer(steps)
        course: Any = {"scheduler": self._course.scheduler, "interval": self._course.by}
        course["monitor"] = self.monitored[0]
        return {"optimizer": optimizer, "lr_scheduler": course}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        # Once an epoch Lightning (2.6) asks after it has written the checkpoint, and not at all in an epoch
        # that a resumed run begins with; `on_train_epoch_end` comes before.
        if self._course.by == "step":
            scheduler.step()

    def parameter_groups(self) -> list[Group]:
        """What is trained, and how strongly it decays."""
        return parameter_groups(
            self.model,
            weight_decay=self.optimization.weight_decay,
            no_decay=self.optimization.no_decay,
            scale_rate=self.config.scale_rate,
            kinds=self._kinds,
        )

    def make_optimizer(self, total_steps: float) -> tuple[Optimizer, Course]:
        """The optimizer and the course of its learning rate over a run of so many steps.

        Raises:
            MaseError: if the configuration names one that does not exist or cannot train this model.
        """
        how = self.optimization
        optimizer = make_optimizer(
            how.optimizer,
            self.parameter_groups(),
            learning_rate=how.learning_rate,
            options=how.optimizer_options,
        )
        return optimizer, make_course(
            how.scheduler,
            optimizer,
            total_steps=total_steps,
            warmup=how.warmup,
            options=how.scheduler_options,
            higher_is_better=self.monitored[1],
        )

    def _measure(self, split: Split, batch: Any, number: int, loader: Any) -> None:
        step = self.evaluation_step(batch)
        sampler = getattr(loader, "sampler", None)
        if not (isinstance(sampler, Share) and sampler.is_spare(number)):
            self._count(split, step)

    def _count(self, split: Split, step: Step) -> None:
        self._meters[split].update(step.loss, step.prediction, step.target, size=step.weight)

    def _report(self, split: Split) -> None:
        values = self._meters[split].drain()
        self.log_dict({f"{split}/{name}": value for name, value in values.items()})
