"""A SLURM job that is warned submits itself again, and does so only if asked to."""

import os
import signal
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from mase.ir.diagnostics import MaseError
from mase.runtime.training.requeue import Requeue, cluster_plugins

JOB = {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "job", "SLURM_JOB_ID": "42"}
TRAINER: Any = SimpleNamespace(is_global_zero=True)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Make this look like a SLURM job, and give the commands that it starts."""
    commands: list[list[str]] = []
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(subprocess, "call", lambda words: commands.append(words) or 0)
    return commands


@pytest.mark.parametrize(
    ("array", "job"), [({}, "42"), ({"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2"}, "40_2")]
)
def test_a_warning_requeues_the_job(
    slurm: list[list[str]], monkeypatch: pytest.MonkeyPatch, array: dict[str, str], job: str
) -> None:
    for name, value in array.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGUSR1)
    callback = Requeue()
    callback.on_train_start(TRAINER, TRAINER)
    os.kill(os.getpid(), signal.SIGUSR1)
    callback.teardown(TRAINER, TRAINER, "fit")
    assert slurm == [["scontrol", "requeue", job]]
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.usefixtures("slurm")
def test_lightning_never_saves_in_the_middle_of_an_epoch() -> None:
    (plugin,) = cluster_plugins(auto_requeue=True)
    assert not plugin.auto_requeue


def test_there_is_no_requeueing_outside_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in JOB:
        monkeypatch.delenv(name, raising=False)
    assert cluster_plugins(auto_requeue=False) == []
    with pytest.raises(MaseError, match="needs a SLURM job"):
        cluster_plugins(auto_requeue=True)
