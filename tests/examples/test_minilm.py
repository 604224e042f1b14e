"""MiniLM learns sentiment, and keeps it in 8-bit integers."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase
from mase.passes import Pipeline
from mase.passes.context import Context
from tests.examples.packaged import lay_out, needs

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@needs("sentiment", "minilm")
def test_sentiment_in_float_and_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    lay_out(tmp_path / "data", "sentiment", "minilm")
    monkeypatch.chdir(tmp_path)
    graph = mase.load(ROOT / "examples/minilm/float.toml")
    ctx = Context(graph, output_dir=tmp_path / "out")
    Pipeline("train,eval,quantize,eval").run_in(ctx)
    accuracy = ctx.metrics["test/accuracy"]
    assert accuracy["trained"] >= 0.84
    assert accuracy["quantized"] >= accuracy["trained"] - 0.01
