"""What the tests of command lines share: a folder with a graph in it, mase-opt and ch in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

GRAPH = """\
mase = 1

[passes.cse]

[graph]
name = "tiny"
level = "float"
outputs = ["z"]

[nodes]
x = { op = "core.input", type = "f32[N,4]" }
a = { op = "nn.relu", in = ["x"], type = "f32[N,4]" }
b = { op = "nn.relu", in = ["x"], type = "f32[N,4]" }
dead = { op = "nn.tanh", in = ["x"], type = "f32[N,4]" }
z = { op = "tensor.add", in = ["a", "b"], type = "f32[N,4]" }
"""


@dataclass(frozen=True)
class Result:
    """What a run of mase-opt gave."""

    status: int
    out: str
    err: str


MaseOpt = Callable[..., Result]


@pytest.fixture
def mase_opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> MaseOpt:
    """Give a function that runs mase-opt in a folder with ``graph.toml`` in it."""
    from mase.cli.opt import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("graph.toml").write_text(GRAPH, encoding="utf-8")

    def run(*words: str) -> Result:
        status = main(words)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def ch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> MaseOpt:
    """Give a function that runs ch in an empty folder, but for ``configs``."""
    from mase.cli.ch import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    Path("configs").symlink_to(Path(__file__).parents[2] / "configs", target_is_directory=True)

    def run(*words: str) -> Result:
        status = main(words)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run
