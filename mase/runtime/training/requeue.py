"""SLURM jobs that submit themselves again when their time is up."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.callbacks import Callback

from mase.ir.diagnostics import MaseError

__all__ = ["Requeue", "cluster_plugins"]

_log = logging.getLogger(__name__)


def cluster_plugins(*, auto_requeue: bool) -> list[Any]:
    """What tells Lightning of a SLURM job.

    Lightning's own requeueing stays off: it saves in the middle of an epoch, from where no run goes on
    exactly, and every later run in the folder would load what it saved.

    Args:
        auto_requeue: whether the user wants the job to be submitted again.

    Raises:
        MaseError: if so, and this is no SLURM job.

    Example:
        >>> cluster_plugins(auto_requeue=False)
        []
    """
    if SLURMEnvironment.detect():
        return [SLURMEnvironment(auto_requeue=False)]
    if auto_requeue:
        raise MaseError.of("auto_requeue needs a SLURM job, and this is none", help="start it with srun")
    return []


class Requeue(Callback):
    """On SLURM's warning (SIGUSR1) has the job start again; it continues from the last complete epoch.

    ``sbatch --signal=USR1@60`` asks SLURM to warn a minute before the end.
    """

    def __init__(self) -> None:
        self._previous: Any = signal.SIG_DFL

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self._previous = signal.signal(signal.SIGUSR1, _requeue)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.is_global_zero:
            signal.signal(signal.SIGUSR1, self._previous)


def _requeue(*_: object) -> None:
    array, job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ["SLURM_JOB_ID"]
    if array is not None:
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    status = subprocess.call(["scontrol", "requeue", job])
    _log.info("scontrol requeue %s: %s", job, "done" if status == 0 else f"failed with status {status}")
