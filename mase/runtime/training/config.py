"""How to train: every choice that a user has, with its default. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.training.strategies import check_strategy, is_deepspeed

__all__ = ["PRECISIONS", "TrainConfig"]

PRECISIONS = (
    *("32-true", "16-mixed", "bf16-mixed", "64-true", "16-true", "bf16-true"),
    *("32", "16", "bf16", "64", "transformer-engine", "transformer-engine-float16"),
)
"""The floating-point precisions that Lightning knows, by its names for them."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train a module.

    What is None by default is the task's choice where it has one (`Task.defaults`), and what
    `Optimization` says where it has none.

    Args:
        max_epochs: passes over the training samples; -1 for no limit but ``max_steps``.
        max_steps: optimizer steps; -1 for no limit but ``max_epochs``.
        learning_rate: peak learning rate.
        optimizer: a name from `torch.optim`, in any case (``"sgd"``, ``"adam"``, ``"adamw"``, ...), or a
            registered one.
        optimizer_options: its further arguments, such as ``{momentum = 0.9, nesterov = true}``.
        weight_decay: as the optimizer defines it.
        no_decay: what it does not touch: ``"bias"``, ``"norm"``, ``"embedding"``, or patterns of parameter
            names, such as ``"head.*"``; by default biases and norms. Learned scales of quantizers never
            decay.
        scale_rate: learning rate of learned scales, as a factor of the others'.
        scheduler: course of the learning rate: ``"none"``, ``"linear"``, ``"cosine"``, ``"polynomial"``,
            ``"exponential"``, ``"step"``, ``"onecycle"``, ``"plateau"``, or a name from
            `torch.optim.lr_scheduler`.
        scheduler_options: its arguments, such as ``{power = 2.0}``.
        warmup: optimizer steps over which the learning rate first rises from 0; below 1, a share of the
            run.
        label_smoothing: share of the target's probability that goes to all classes alike, in training only;
            tasks that choose among classes, and those of sequences, know it.
        accumulate_grad_batches: batches whose gradients make one optimizer step.
        gradient_clip: largest norm of the gradient; 0 for no limit.
        gradient_clip_by: ``"norm"`` of all gradients together, or ``"value"`` of each number.
        distill: learn from a teacher, too: ``"float"`` for the float model that a quantized graph was made
            from, or a file with another graph (``.toml``) or other float weights (``.ckpt``, ``.pt``,
            ``.safetensors``).
        distill_weight: share of the teacher's opinion in the loss, 0 to 1.
        temperature: what divides the logits of both before they are compared.
        distill_features: patterns of module paths, such as ``"layers.*"``, whose outputs are to be like the
            teacher's.
        feature_weight: weight of that in the loss.
        precision: arithmetic of the float operations, by Lightning's names (`PRECISIONS`).
        fast_dev_run: run one batch (or this many) of each split and write nothing: does it run at all?
        seed: seeds dropout and whatever else is drawn; None for 0, in a pipeline for the run's. The order of
            samples is the data set's own ``seed``.
        monitor: metric that chooses the best epoch, such as ``"val/loss"``; None for the task's own.
        patience: stop after this many epochs without a better one; None to never stop early.
        accelerator: ``"auto"``, ``"cpu"``, ``"gpu"`` or another that Lightning knows.
        devices: how many devices, or which.
        num_nodes: machines that train together.
        strategy: how several devices share the work: ``"auto"``, ``"ddp"``, ``"fsdp"``,
            ``"deepspeed_stage_2"`` or another of `STRATEGIES`; those that copy the running process are
            refused.
        strategy_options: its arguments, such as ``{state_dict_type = "sharded"}`` for ``fsdp`` or
            ``{config = "ds.json"}`` for ``deepspeed``.
        deterministic: prefer deterministic algorithms (matters on GPUs; warns where there is none).
        threads: CPU threads; None for one where a batch is little work, else as many as torch has.
        log_every_n_steps: steps between two rows of the step loss in the logs.
        measure_train: measure the best weights on the whole training split too, at the end; of a large one
            that is a third of an epoch's work.
        report_to: ``"tensorboard"``, ``"wandb"`` (its package must be installed) or ``"none"``; a CSV log is
            always written.
        progress: show a progress bar; None to show it where standard error is a terminal.
        resume: continue a run of the same kind that was cut off in the same folder.
        auto_requeue: in a SLURM job, submit the job again when its time is up.

    Raises:
        MaseError: if a value cannot be meant, naming it and the remedy.

    Example:
        >>> TrainConfig(precision="bf16-mix")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown precision 'bf16-mix'
          help: did you mean 'bf16-mixed'?
    """

    max_epochs: int = 10
    max_steps: int = -1
    learning_rate: float | None = None
    optimizer: str | None = None
    optimizer_options: dict[str, Any] | None = None
    weight_decay: float | None = None
    no_decay: list[str] | None = None
    scale_rate: float = 1.0
    scheduler: str | None = None
    scheduler_options: dict[str, Any] | None = None
    warmup: float | None = None
    label_smoothing: float = 0.0
    accumulate_grad_batches: int = 1
    gradient_clip: float | None = None
    gradient_clip_by: Literal["norm", "value"] = "norm"
    distill: str | None = None
    distill_weight: float = 0.5
    temperature: float = 2.0
    distill_features: list[str] | None = None
    feature_weight: float = 1.0
    precision: str = "32-true"
    fast_dev_run: bool | int = False
    seed: int | None = None
    monitor: str | None = None
    patience: int | None = None
    accelerator: str = "auto"
    devices: int | str | list[int] = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    strategy_options: dict[str, Any] | None = None
    deterministic: bool = True
    threads: int | None = None
    log_every_n_steps: int = 50
    measure_train: bool = True
    report_to: str = "tensorboard"
    progress: bool | None = None
    resume: bool = True
    auto_requeue: bool = False

    def __post_init__(self) -> None:
        _one_of("precision", self.precision, PRECISIONS)
        check_strategy(self.strategy, self.strategy_options)
        by_value = is_deepspeed(self.strategy) and self.gradient_clip_by == "value"
        _require(not by_value, "deepspeed clips gradients by their norm alone", 'gradient_clip_by = "norm"')
        _one_of("report_to", self.report_to, ("tensorboard", "wandb", "none"))
        endless = self.max_epochs == -1 and self.max_steps == -1
        _require(not endless, "neither max_epochs nor max_steps is limited", "set one of them")
        for name in ("max_epochs", "max_steps"):
            value = getattr(self, name)
            _require(value == -1 or value >= 1, f"{name} is {value!r}", "use at least 1, or -1 for no limit")
        for name in ("accumulate_grad_batches", "num_nodes", "log_every_n_steps", "patience", "threads"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} is {value!r}", "use at least 1")
        for name in (
            "weight_decay",
            "warmup",
            "gradient_clip",
            "scale_rate",
            "feature_weight",
            "seed",
            "fast_dev_run",
        ):
            value = getattr(self, name)
            _require(
                value is None or 0 <= value < math.inf,
                f"{name} is {value!r}",
                "use a finite number, not negative",
            )
        smoothing = self.label_smoothing
        _require(0 <= smoothing < 1, f"label_smoothing is {smoothing!r}", "use a share from 0 to below 1")
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            _require(value is None or 0 < value < math.inf, f"{name} is {value!r}", "use a number above 0")
        share = self.distill_weight
        _require(0 <= share <= 1, f"distill_weight is {share!r}", "use a share, 0 to 1")
        lonely = self.distill_features and self.distill is None
        _require(not lonely, "distill_features without distill", "name the teacher")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise MaseError.of(f"unknown {name} {value!r}", help=did_you_mean(value, known))


def _require(condition: bool, message: str, remedy: str) -> None:
    if not condition:
        raise MaseError.of(message, help=remedy)
