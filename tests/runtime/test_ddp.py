"""Several processes on a CPU: one result, measured on every sample once, and ranges that agree."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

import mase
from mase.cli.opt import main
from mase.ir.formats import Integer
from mase.runtime.data import make_data
from mase.runtime.kernels.moving import fake_quantize_moving
from mase.runtime.trainer import evaluate

ROOT = Path(__file__).parents[2]
RECIPE = """\
mase = 1
data = { source = "toy-tiny", batch_size = 24 }

[model]
source = "zoo:toy"

[passes.train]
strategy = "ddp"
devices = 2
accelerator = "cpu"
max_epochs = 2
learning_rate = 1e-2
"""


def run(folder: Path, *command: str, typed: str | None = None) -> tuple[str, str]:
    """Give what a command of ours prints and says, where no launcher has left its marks."""
    foreign = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    env = {key: value for key, value in os.environ.items() if key not in foreign}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=env,
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def alone(graph: Path, split: str) -> dict[str, float]:
    return evaluate(mase.lower(mase.load(graph)), make_data("toy-tiny"), split)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_ch_trains_in_two_processes(tmp_path: Path) -> None:
    options = ["--max-epochs", "2", "--learning-rate", "1e-2", "--batch-size", "24", "--project", "X"]
    machine = ["--strategy", "ddp", "--devices", "2", "--accelerator", "cpu"]
    printed, said = run(tmp_path, "mase.cli.ch", "train", "toy", "toy-tiny", *options, *machine)
    assert printed == "mase_output/X\n"  # one process prints
    assert said.count("mase_output/X/software/results.csv") == 1  # and the same one speaks
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    for name in ("best.ckpt", "last.ckpt", "graph.toml", "graph.safetensors", "results.csv", "metrics.csv"):
        assert written.count(name) == 1, written
    assert not [name for name in written if "partial" in name]

    folder = tmp_path / "mase_output/X/software"
    with (folder / "results.csv").open() as file:
        found = {
            row["metric"]: float(row["value"]) for row in csv.DictReader(file) if row["stage"] == "trained"
        }
    for split in ("train", "val", "test"):
        for metric, value in alone(folder / "graph.toml", split).items():
            assert found[metric] == pytest.approx(value, rel=1e-6)
    assert found["test/accuracy"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("source", ["recipe.toml", "-"])
def test_a_recipe_trains_in_two_processes_and_then_measures(tmp_path: Path, source: str) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    typed = RECIPE if source == "-" else None  # the second process finds nothing in it
    words = ("mase.cli.opt", source, "--passes", "train,eval", "-o", "graph.toml")
    _, said = run(tmp_path, *words, typed=typed)
    assert len(list(tmp_path.rglob("best.ckpt"))) == 1
    [row] = [line for line in said.splitlines() if "test/accuracy" in line]
    accuracy = alone(tmp_path / "graph.toml", "test")["test/accuracy"]
    assert row.replace("│", " ").split()[-1] == f"{accuracy:.4f}"


PERISH = """\
import os
from pathlib import Path

from mase.ir import Graph
from mase.passes import Context, register_pass


@register_pass("perish")
def perish(graph: Graph, ctx: Context) -> None:
    \"\"\"Die, unless there is a file ``live``.\"\"\"
    if not Path("live").exists():
        os._exit(9)
"""


@pytest.mark.slow
def test_two_processes_that_were_cut_off_train_nothing_twice(tmp_path: Path) -> None:
    """Also where they have met before training, to measure what they start from."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "perish.py").write_text(PERISH)
    passes = "train{max_epochs=1},quantize,train,perish,eval"
    options = ["-D", 'passes.quantize.default={data_in="fixed<8,4>",weight="fixed<8,6>"}']
    words = ["mase.cli.opt", "recipe.toml", "--load", "perish.py", "--passes", passes, *options, "-o"]
    with pytest.raises(AssertionError):
        run(tmp_path, *words, "cut/graph.toml")
    checkpoints = tmp_path / "cut/training_ckpts"
    before = sorted(path.stat().st_mtime_ns for path in checkpoints.glob("last*.ckpt"))
    assert len(before) == 2
    (tmp_path / "live").touch()
    _, said = run(tmp_path, *words, "cut/graph.toml")
    assert "this training was complete" in said
    assert sorted(path.stat().st_mtime_ns for path in checkpoints.glob("last*.ckpt")) == before
    run(tmp_path, *words, "whole/graph.toml")
    weights = [(tmp_path / name / "graph.safetensors").read_bytes() for name in ("cut", "whole")]
    assert weights[0] == weights[1]


def test_processes_of_a_launcher_do_not_tear_an_input_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")  # as torchrun sets it
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["-", "--passes", "train"]) == 2
    assert "several processes cannot share one standard input" in capsys.readouterr().err


def _batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 5, generator=generator) * scale for scale in (1.0, 3.0, 0.2, 5.0)]


def _observe(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    if world > 1:
        where = f"file://{folder}/meeting"
        distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=world)
    seen = torch.full((2,), torch.nan)
    values = [fake_quantize_moving(batch[rank::world], Integer(8), seen, 0.3) for batch in _batches()]
    torch.save({"range": seen, "values": values}, f"{folder}/{world}-{rank}.pt")
    if world > 1:
        distributed.destroy_process_group()


@pytest.mark.slow
def test_moving_ranges_agree(tmp_path: Path) -> None:
    """Two processes with half of each batch follow the very range, and quantize by it, as one with all."""
    _observe(0, 1, str(tmp_path))
    multiprocessing.spawn(_observe, (2, str(tmp_path)), nprocs=2)
    whole, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    assert torch.equal(first["range"], whole["range"])
    assert torch.equal(second["range"], whole["range"])
    for number, value in enumerate(whole["values"]):
        assert torch.equal(first["values"][number], value[0::2])
        assert torch.equal(second["values"][number], value[1::2])
