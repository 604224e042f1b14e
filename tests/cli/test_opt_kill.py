"""``mase-opt`` that is killed, and started again, ends as if it had not been, and trains nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import MaseOpt

ROOT = Path(__file__).parents[2]
RECIPE = """\
mase = 1
data = { source = "toy-tiny", batch_size = 64 }

[model]
source = "zoo:toy"

[passes.quantize]
default = { data_in = "fixed<8,4>", weight = "fixed<8,6>" }

[passes.train]
max_epochs = 3
learning_rate = 1e-2
report_to = "none"
"""
COMPLETE = "this training was complete"


@pytest.fixture
def recipe(mase_opt: MaseOpt) -> Path:
    Path("recipe.toml").write_text(RECIPE)
    return Path("recipe.toml")


def run(mase_opt: MaseOpt, output: str, passes: str = "train,eval", *more: str) -> Any:
    return mase_opt("recipe.toml", "--passes", passes, "-o", f"{output}/graph.toml", *more)


def die_at_the_end(mase_opt: MaseOpt, output: str, passes: str = "train,eval", *more: str) -> None:
    """Cut a command off when all passes have run and nothing is written yet."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mase.cli.session.save", killed)
        assert run(mase_opt, output, passes, *more).status == 130
    assert not Path(output, "graph.toml").exists()


def trained(output: str) -> list[int]:
    """When each checkpoint was written."""
    return sorted(path.stat().st_mtime_ns for path in Path(output, "training_ckpts").glob("last*.ckpt"))


def same(left: str, right: str) -> bool:
    files = [Path(output, "graph.safetensors").read_bytes() for output in (left, right)]
    return files[0] == files[1]


def test_what_was_complete_is_not_trained_again(mase_opt: MaseOpt, recipe: Path) -> None:
    whole = run(mase_opt, "whole")
    assert COMPLETE not in whole.err
    die_at_the_end(mase_opt, "cut")
    before = trained("cut")

    again = run(mase_opt, "cut")
    assert COMPLETE in again.err
    assert trained("cut") == before
    assert same("whole", "cut")
    table = [[line for line in said.splitlines() if "│" in line] for said in (whole.err, again.err)]
    assert table[0] == table[1]
    assert not list(Path("cut").glob(".unfinished*"))

    once_more = run(mase_opt, "cut")  # the command had ended: this one is a new run
    assert COMPLETE not in once_more.err
    assert len(trained("cut")) == 2


def test_each_training_of_a_pipeline_is_found_again(mase_opt: MaseOpt, recipe: Path) -> None:
    passes = "train,quantize,train,eval"
    assert run(mase_opt, "whole", passes).status == 0
    die_at_the_end(mase_opt, "cut", passes)
    before = trained("cut")
    assert len(before) == 2

    again = run(mase_opt, "cut", passes)
    assert COMPLETE in again.err
    assert trained("cut") == before  # of both
    assert same("whole", "cut")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("--seed", "1"), id="other weights and noise"),
        pytest.param(("-D", "passes.train.learning_rate=2e-2"), id="an option of train"),
        pytest.param(("-D", "data.batch_size=32"), id="other batches"),
        pytest.param(("-D", "model.args.hidden=50"), id="another model"),
    ],
)
def test_another_training_is_never_taken_for_this_one(
    mase_opt: MaseOpt, recipe: Path, change: tuple[str, str]
) -> None:
    die_at_the_end(mase_opt, "cut")
    again = run(mase_opt, "cut", "train,eval", *change)
    assert COMPLETE not in again.err
    assert len(trained("cut")) == 2
    assert run(mase_opt, "fresh", "train,eval", *change).status == 0
    assert same("fresh", "cut")


def test_a_graph_of_other_weights_is_another(mase_opt: MaseOpt, recipe: Path) -> None:
    for name, seed in (("first", "1"), ("second", "2")):
        assert mase_opt("recipe.toml", "--seed", seed, "--passes", "cse", "-o", f"{name}.toml").status == 0
    words = ("--passes", "train", "-o", "cut/graph.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mase.cli.session.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert mase_opt("first.toml", *words).status == 130
    assert COMPLETE not in mase_opt("second.toml", *words).err
    assert len(trained("cut")) == 2


@pytest.mark.slow
def test_killed_in_training_and_after_it(tmp_path: Path) -> None:
    """SIGKILL in the first training, in the second, and while the passes after both run."""
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("max_epochs = 3", "max_epochs = 40"))
    (tmp_path / "linger.py").write_text(LINGER)

    def start(output: str) -> subprocess.Popen[bytes]:
        passes = ["--load", "linger.py", "--passes", "train,quantize,train,linger,eval"]
        command = [sys.executable, "-m", "mase.cli.opt", "recipe.toml", *passes, "-o", f"{output}/graph.toml"]
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)

    (tmp_path / "go").touch()
    assert start("whole").wait() == 0
    for sign in ("go", "lingers"):
        (tmp_path / sign).unlink()
    checkpoints = tmp_path / "cut/training_ckpts"
    for sign in (checkpoints / "last.ckpt", checkpoints / "last-1.ckpt", tmp_path / "lingers"):
        run = start("cut")
        while not sign.exists() and run.poll() is None:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    before = sorted(path.stat().st_mtime_ns for path in checkpoints.glob("last*.ckpt"))
    (tmp_path / "go").touch()
    assert start("cut").wait() == 0
    assert sorted(path.stat().st_mtime_ns for path in checkpoints.glob("last*.ckpt")) == before
    for name in ("graph.toml", "graph.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


LINGER = '''\
import time
from pathlib import Path

from mase.ir import Graph
from mase.passes import Context, register_pass


@register_pass("linger")
def linger(graph: Graph, ctx: Context) -> None:
    """Wait until there is a file ``go``."""
    Path("lingers").touch()
    while not Path("go").exists():
        time.sleep(0.05)
'''
