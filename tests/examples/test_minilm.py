"""MiniLM learns sentiment, and keeps it in 8-bit integers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.documented import follow
from tests.examples.packaged import needs
from tests.examples.results import row


@pytest.mark.slow
@needs("sentiment", "minilm")
def test_sentiment_in_float_and_in_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets")
    in_float, in_integers = follow("minilm/float.toml", tmp_path, monkeypatch, capsys)
    floating = row(in_float, "test/accuracy")[-1]
    assert floating >= 0.84
    assert row(in_integers, "test/accuracy")[-1] >= floating - 0.01
