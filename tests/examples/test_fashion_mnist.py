"""LeNet on Fashion-MNIST: at least 91.5 % in float, and within a point of that in 4 bits."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase
from mase.cli.opt import main
from tests.examples.packaged import lay_out, needs
from tests.examples.results import row

RECIPE = str(Path(__file__).parents[2] / "examples" / "fashion_mnist" / "graph.toml")


@pytest.mark.slow
@needs("fashion-mnist")
def test_four_bits_within_a_point_of_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path / "data", "fashion-mnist")
    monkeypatch.chdir(tmp_path)
    assert main(["--passes", "train,eval", RECIPE, "-o", "out/float"]) == 0
    floating = row(capsys.readouterr().err, "test/accuracy")[-1]
    assert floating >= 0.915
    passes = "quantize,train{max_epochs=3 learning_rate=1e-3},eval"
    assert main(["--passes", passes, "out/float/graph.toml", "-o", "out/four-bit"]) == 0
    before, _, trained = row(capsys.readouterr().err, "test/accuracy")
    assert before == floating
    assert trained >= floating - 0.01
    graph = mase.load("out/four-bit/graph.toml")
    layers = [node.op for node in graph.nodes if node.op.name.startswith(("mase.conv2d", "mase.linear"))]
    bits = [(op.formats[role].bits) for op in layers for role in ("data_in", "weight")]  # type: ignore[attr-defined]
    assert bits == [4] * 8
