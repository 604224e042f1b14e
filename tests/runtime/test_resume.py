"""A run that is killed goes on as if it had not been, and no other run is taken for it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.training.checkpoint import read_checkpoint
from tests.runtime.nets import Noisy, equal, toy, train

STEPS = 4  # of an epoch: 512 samples in batches of 128


def killed(folder: Path, step: int, **settings: Any) -> None:
    """Trains in a process that kills itself (SIGKILL: no clean-up) in its `step`-th training step."""
    torch.set_num_threads(1)  # a forked process must not find OpenMP's threads half-way
    child = multiprocessing.get_context("fork").Process(
        target=train, args=(folder, Noisy(step)), kwargs=settings
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("step", "settings"),
    [
        pytest.param(2, {}, id="in the first epoch"),
        pytest.param(3 * STEPS + 2, {}, id="in a later epoch"),
        pytest.param(4 * STEPS + 1, {"accumulate_grad_batches": 3, "gradient_clip": 0.5}, id="accumulating"),
        pytest.param(2 * STEPS + 1, {"max_epochs": -1, "max_steps": 18}, id="by steps"),
        pytest.param(3 * STEPS + 1, {"max_epochs": 50, "patience": 2}, id="stopping early"),
    ],
)
def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path, step: int, settings: dict[str, Any]) -> None:
    whole, resumed = Noisy(), Noisy()
    expected = train(tmp_path / "whole", whole, **settings)
    killed(tmp_path / "cut", step, **settings)

    assert train(tmp_path / "cut", resumed, **settings) == expected
    assert equal(whole, resumed)
    assert resumed.steps == whole.steps - (step - 1) // STEPS * STEPS  # no finished epoch ran again
    for name in ("best", "last"):
        left, right = (
            read_checkpoint(tmp_path / run / f"training_ckpts/{name}.ckpt") for run in ("whole", "cut")
        )
        assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("patience", [None, 2])
def test_a_run_cut_off_after_its_last_epoch_trains_no_further(tmp_path: Path, patience: int | None) -> None:
    whole, resumed = Noisy(), Noisy()
    settings: dict[str, Any] = {"patience": patience, "max_epochs": 50} if patience else {}
    expected = train(tmp_path, whole, **settings)
    record = tmp_path / "training_ckpts/run.json"
    record.write_text(json.dumps({"fingerprint": json.loads(record.read_text())["fingerprint"]}))

    assert train(tmp_path, resumed, **settings) == expected
    assert resumed.steps == 0
    assert equal(whole, resumed)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        (lambda: {"learning_rate": 5e-3}, "config"),
        (lambda: {"seed": 1}, "config"),
        (lambda: {"module": toy()}, "model, weights"),
        (lambda: {"data": make_data("toy-tiny", batch_size=64)}, "data"),
        (lambda: {"resume": False}, "resume is off"),
    ],
)
def test_another_run_starts_afresh_and_keeps_the_old(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any, aspect: str
) -> None:
    killed(tmp_path, 3 * STEPS + 2)
    folder = tmp_path / "training_ckpts"
    old = {name: (folder / f"{name}.ckpt").read_bytes() for name in ("best", "last")}
    fresh, expected = Noisy(), Noisy()

    with caplog.at_level(logging.WARNING):
        metrics = train(tmp_path, **{"module": fresh, **change()})

    assert aspect in caplog.text
    assert (folder / "best-1.ckpt").read_bytes() == old["best"]
    assert (folder / "last-1.ckpt").read_bytes() == old["last"]
    assert metrics == train(tmp_path / "elsewhere", **{"module": expected, **change()})


def test_a_finished_run_is_not_continued(tmp_path: Path) -> None:
    folder = tmp_path / "training_ckpts"
    for runs in range(3):
        module = Noisy()
        train(tmp_path, module, max_epochs=2)
        assert module.steps == 2 * STEPS
        assert len(list(folder.glob("best*.ckpt"))) == runs + 1
    assert not list(folder.glob("*partial*"))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_of_equal_runs_the_last_one_is_continued(tmp_path: Path) -> None:
    """A command that was cut off in its second training, having ended well the first time."""
    folder = tmp_path / "training_ckpts"
    train(tmp_path)
    killed(tmp_path, 3 * STEPS + 2)
    assert json.loads((folder / "run-1.json").read_text())["metrics"]
    resumed = Noisy()
    train(tmp_path, resumed, cut_off=True)
    assert resumed.steps == 3 * STEPS
    assert {path.name for path in folder.glob("last*")} == {"last.ckpt", "last-1.ckpt"}


def test_a_run_that_was_set_aside_is_continued_at_its_end(tmp_path: Path) -> None:
    """`train,quantize,train` is cut off at its end: both are over, the second in the place of the first."""
    first, second = Noisy(), Noisy()
    train(tmp_path, first)
    train(tmp_path, second, learning_rate=5e-3)
    for module, settings in ((first, {}), (second, {"learning_rate": 5e-3})):
        again = Noisy()
        train(tmp_path, again, cut_off=True, **settings)
        assert again.steps == 0
        assert equal(again, module)
    for settings, steps in (({"seed": 1}, 6 * STEPS), ({}, 0)):
        other = Noisy()
        train(tmp_path, other, cut_off=True, **settings)
        assert other.steps == steps


def test_nothing_is_touched_by_a_run_that_cannot_start(tmp_path: Path) -> None:
    train(tmp_path, max_epochs=1)
    before = {file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()}
    for settings in ({"optimizer": "adammm"}, {"scheduler": "cosin"}, {"monitor": "val/f1"}):
        with pytest.raises(MaseError):
            train(tmp_path, **settings)
    train(tmp_path, fast_dev_run=True)
    assert before == {file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()}


SCRIPT = """
import sys
from pathlib import Path
from tests.runtime.nets import Noisy, train
train(Path(sys.argv[1]), Noisy(), max_epochs=400)
"""


@pytest.mark.slow
def test_a_new_process_continues_after_kills_at_any_moment(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "cut")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    folder = tmp_path / "cut/training_ckpts"
    for delay in (0.0, 0.31, 0.77):
        process, begun = start(), time.time()
        while not any(f.stat().st_mtime > begun for f in folder.glob("last.ckpt")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed; lengthen it"
    assert start().wait() == 0
    train(tmp_path / "whole", max_epochs=400)
    for name in ("best", "last"):
        left, right = (
            read_checkpoint(tmp_path / run / f"training_ckpts/{name}.ckpt") for run in ("whole", "cut")
        )
        assert all(torch.equal(left[key], right[key]) for key in left)
    assert not list(folder.glob("*-1.ckpt"))
