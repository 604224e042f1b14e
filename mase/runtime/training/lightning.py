"""From a configuration to Lightning's trainers."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, RichProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.strategies import DeepSpeedStrategy

from mase.ir.diagnostics import MaseError
from mase.runtime.tasks.base import Task
from mase.runtime.training.best_and_last import KeepBestAndLast
from mase.runtime.training.callbacks import SeedEachEpoch, StopAtStep
from mase.runtime.training.config import TrainConfig
from mase.runtime.training.requeue import Requeue, cluster_plugins
from mase.runtime.training.run_folder import RunFolder
from mase.runtime.training.strategies import make_strategy

__all__ = ["check_settings", "evaluator", "fitter"]

_REFUSALS = (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError)


def check_settings(task: Task, config: TrainConfig) -> None:
    """Find what metric, optimizer, scheduler, cluster or log refuse, before anything is measured or written.

    Raises:
        MaseError: naming it and the remedy.
    """
    _ = task.monitored
    task.make_optimizer(total_steps=100)
    cluster_plugins(auto_requeue=config.auto_requeue)
    if config.report_to == "wandb" and find_spec("wandb") is None:
        raise MaseError.of(
            'report_to = "wandb" needs the package wandb, which is not installed',
            help="pip install wandb, or choose tensorboard or none",
        )


def fitter(task: Task, config: TrainConfig, output_dir: Path, folder: RunFolder) -> pl.Trainer:
    """The trainer of a run.

    Args:
        task: what is trained.
        config: how.
        output_dir: where ``tensorboard/`` and ``csv/`` go, with a ``version_N`` for each start.
        folder: where checkpoints go.

    Raises:
        MaseError: if Lightning rejects the configuration on this machine.
    """
    check_settings(task, config)
    monitor, higher_is_better = task.monitored
    callbacks: list[Callback] = [
        SeedEachEpoch(config.seed or 0),
        StopAtStep(config.max_steps),
        KeepBestAndLast(folder, monitor=monitor, higher_is_better=higher_is_better, patience=config.patience),
    ]
    if config.auto_requeue:
        callbacks.append(Requeue())
    loggers: list[Logger] = [CSVLogger(output_dir, name="csv")]
    if config.report_to == "tensorboard":
        loggers.append(TensorBoardLogger(output_dir, name="tensorboard"))
    elif config.report_to == "wandb":
        loggers.append(
            WandbLogger(project="mase", name=output_dir.resolve().parent.name, save_dir=output_dir)
        )
    if len(loggers) > 1:
        callbacks.append(LearningRateMonitor("step"))
    return _trainer(
        config,
        callbacks,
        logger=loggers,
        default_root_dir=output_dir,
        max_epochs=config.max_epochs,
        accumulate_grad_batches=config.accumulate_grad_batches,
        gradient_clip_val=task.optimization.gradient_clip or None,
        gradient_clip_algorithm=config.gradient_clip_by,
        log_every_n_steps=config.log_every_n_steps,
        num_sanity_val_steps=0,  # the preflight has already run the model
        plugins=cluster_plugins(auto_requeue=config.auto_requeue),
    )


def evaluator(config: TrainConfig) -> pl.Trainer:
    """A trainer that only measures, and writes nothing.

    Raises:
        MaseError: if Lightning rejects the configuration on this machine.
    """
    return _trainer(config, [], logger=False, enable_checkpointing=False)


def _trainer(config: TrainConfig, callbacks: list[Callback], **options: Any) -> pl.Trainer:
    progress = sys.stderr.isatty() if config.progress is None else config.progress
    if progress:
        console = {"stderr": True, "force_terminal": True}  # standard output stays pipeable
        callbacks = [*callbacks, RichProgressBar(leave=False, console_kwargs=console)]
    try:
        trainer = pl.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=make_strategy(config.strategy, config.strategy_options),
            precision=config.precision,  # pyright: ignore[reportArgumentType]  # checked by TrainConfig
            fast_dev_run=config.fast_dev_run,
            deterministic="warn" if config.deterministic else False,
            callbacks=callbacks,
            enable_progress_bar=progress,
            enable_model_summary=False,
            # Tensors made under inference mode could not be used in training afterwards.
            inference_mode=False,
            **options,
        )
        _check_accelerator(trainer)
    except _REFUSALS as error:
        raise MaseError.of(
            f"Lightning cannot train so here: {error}",
            help="check accelerator, devices, strategy and precision",
        ) from error
    return trainer


def _check_accelerator(trainer: pl.Trainer) -> None:
    """Lightning (2.6) sees this only when the run has started."""
    if type(trainer.strategy) is DeepSpeedStrategy and not isinstance(trainer.accelerator, CUDAAccelerator):
        found = type(trainer.accelerator).__name__
        raise MisconfigurationException(f"deepspeed needs GPUs with CUDA, and this is a {found}")
