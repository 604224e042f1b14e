"""Sharded training of two processes on a CPU: what it reaches, keeps and goes on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from mase.runtime.trainer import evaluate, load_checkpoint
from mase.runtime.training.checkpoint import read_checkpoint
from tests.runtime.together import Few, Net

ROOT = Path(__file__).parents[2]
STEPS = 5  # of an epoch: 40 samples in batches of 4 for each of two processes


def together(strategy: str, state: str, folder: Path, samples: int, *last_step: str) -> int:
    """Run it, and give its exit status."""
    foreign = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    env = {key: value for key, value in os.environ.items() if key not in foreign}
    command = [sys.executable, "-W", "ignore", "-m", "tests.runtime.together"]
    done = subprocess.run(
        [*command, strategy, state, str(folder), str(samples), *last_step],
        env=env | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        timeout=600,
    )
    return done.returncode


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what `ddp` reaches, where each process holds the whole model."""
    folder = tmp_path_factory.mktemp("ddp")
    assert together("ddp", "-", folder, 1) == 0
    _compare_with_one_process(folder, 1)
    return folder


def _compare_with_one_process(folder: Path, samples: int) -> None:
    """Every sample was measured once, on the weights that were kept, which load into a plain module."""
    net, found = Net(), json.loads((folder / "metrics.json").read_text())
    load_checkpoint(net, folder / "training_ckpts/best.ckpt")
    given = torch.load(folder / "weights.pt", weights_only=True)
    assert all(torch.equal(value, given[key]) for key, value in net.state_dict().items())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # areas under curves of one sample
        alone = {
            name: value
            for split in ("train", "val", "test")
            for name, value in evaluate(net, Few(samples), split, Few.task).items()  # pyright: ignore[reportArgumentType]
        }
    assert found == pytest.approx(alone, rel=1e-5)


def _last(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "training_ckpts/last.ckpt")


@pytest.mark.slow
def test_one_file_of_all_shards(tmp_path: Path, replicated: Path) -> None:
    assert together("fsdp", "full", tmp_path, 1) == 0
    assert (tmp_path / "training_ckpts/best.ckpt").is_file()
    _compare_with_one_process(tmp_path, 1)
    for key, value in _last(replicated).items():
        torch.testing.assert_close(_last(tmp_path)[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_folder_of_shards(tmp_path: Path, replicated: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert together("fsdp", "sharded", whole, 9) == 0
    kept = whole / "training_ckpts/best.ckpt"
    assert len(list(kept.glob("*.distcp"))) == 2
    _compare_with_one_process(whole, 9)
    for key, value in _last(replicated).items():
        torch.testing.assert_close(_last(whole)[key], value, rtol=1e-5, atol=1e-6)

    assert together("fsdp", "sharded", cut, 9, str(STEPS + 2)) != 0  # dies in its second epoch
    assert (cut / "training_ckpts/last.ckpt").is_dir()
    assert together("fsdp", "sharded", cut, 9) == 0
    assert not list(cut.glob("training_ckpts/*-1.ckpt"))  # it went on
    assert all(torch.equal(_last(cut)[key], value) for key, value in _last(whole).items())
