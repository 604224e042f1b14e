"""LeNet on Fashion-MNIST: at least 91.5 % in float, and within a point of that in 4 bits."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase
from tests.examples.documented import follow
from tests.examples.packaged import needs
from tests.examples.results import row


@pytest.mark.slow
@needs("fashion-mnist")
def test_four_bits_within_a_point_of_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_float, in_four_bits = follow("fashion_mnist/graph.toml", tmp_path, monkeypatch, capsys)
    floating = row(in_float, "test/accuracy")[-1]
    assert floating >= 0.915
    before, _, trained = row(in_four_bits, "test/accuracy")
    assert before == pytest.approx(floating, abs=1e-3)  # folded batch norm rounds otherwise
    assert trained >= floating - 0.01
    graph = mase.load("out/fashion/four-bit/graph.toml")
    layers = [node.op for node in graph.nodes if node.op.name.startswith(("mase.conv2d", "mase.linear"))]
    bits = [(op.formats[role].bits) for op in layers for role in ("data_in", "weight")]  # type: ignore[attr-defined]
    assert bits == [4] * 8
