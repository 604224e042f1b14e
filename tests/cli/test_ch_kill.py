"""A training that is killed at any moment, and started again, ends as if it had not been."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import MaseOpt

ROOT = Path(__file__).parents[2]
SETTINGS = ["--learning-rate", "1e-2", "--batch-size", "16", "--max-epochs", "60", "--report-to", "none"]
COMMAND = [sys.executable, "-m", "mase.cli.ch", "train", "toy", "toy-tiny", *SETTINGS]


def start(folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, "--project-dir", str(folder)], env=environment, text=True, **streams)


def graphs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/software/graph.toml"))


def killed(run: subprocess.Popen[str], folder: Path, moments: random.Random) -> bool:
    """Kill a run, mostly within a second of training, sometimes while it still starts; False if it ended."""
    if moments.random() < 0.2:
        time.sleep(moments.uniform(0, 4))
    else:
        before = checkpoints(folder)
        while checkpoints(folder) == before and run.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1))
    run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL


def checkpoints(folder: Path) -> list[int]:
    """Give the ages of the checkpoints, which tell that an epoch has passed."""
    times: list[int] = []
    for path in folder.glob("*/software/training_ckpts/last.ckpt"):
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime_ns)
    return times


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_points(tmp_path: Path, seed: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    _, said = start(whole).communicate()
    assert graphs(whole), said

    moments, kills, resumed = random.Random(seed), 0, 0
    while not graphs(cut):
        run = start(cut)
        if not killed(run, cut, moments):
            assert run.returncode == 0
        kills += 1
        resumed += "this command was cut off in" in (run.stderr.read() if run.stderr else "")
        assert kills < 100
        _let_a_day_pass(cut)
    assert resumed > 0

    (expected,), (found,) = graphs(whole), graphs(cut)
    assert found.with_suffix(".safetensors").read_bytes() == expected.with_suffix(".safetensors").read_bytes()
    left = found.parent / "training_ckpts"
    assert {path.name for path in left.iterdir()} == {"best.ckpt", "last.ckpt", "run.json"}


def test_killed_after_training_trains_no_second_time(ch: MaseOpt, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    words = ("train", "toy", "toy-tiny", "--max-epochs", "3", "--report-to", "none")
    expected = ch(*words, "--project-dir", "whole")
    with monkeypatch.context() as patch:
        patch.setattr("mase.cli.session.save", killed)  # trained and measured, but nothing is kept yet
        assert ch(*words, "--project-dir", "cut").status == 130
    (software,) = Path("cut").glob("*/software")
    last = software / "training_ckpts" / "last.ckpt"
    before = last.stat().st_mtime_ns

    again = ch(*words, "--project-dir", "cut")
    assert "this command was cut off in" in again.err
    assert last.stat().st_mtime_ns == before
    (whole,) = Path("whole").glob("*/software")
    for name in ("results.csv", "graph.safetensors"):
        assert (software / name).read_bytes() == (whole / name).read_bytes()
    assert expected.status == again.status == 0


def _let_a_day_pass(folder: Path) -> None:
    """Give the project of an unfinished command the name of another day."""
    for project in folder.glob("*_20[2-9][0-9]-*"):
        if (project / "software/.unfinished-train").exists() and not graphs(folder):
            project.rename(project.with_name("toy_classification_toy-tiny_2000-01-01"))
