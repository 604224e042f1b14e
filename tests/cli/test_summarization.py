"""Summaries of a tiny set by the command line: trained, measured, quantized and measured again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mase.cli.opt import main
from tests.runtime.pairs import WORDS, write_pairs

RECIPE = """\
mase = 1

[model]
source = "hf:t5"
config = { d_model = 16, d_kv = 8, num_heads = 2, num_layers = 1, num_decoder_layers = 1, d_ff = 16 }

[data]
source = "json:set"
task = "summarization"
tokenizer = "set/tokenizer"
cache_dir = "cache"
max_token_len = 12
batch_size = 6
generation = { num_beams = 2 }

[passes.train]
max_epochs = 2
learning_rate = 1e-2
report_to = "none"
baseline = false

[passes.quantize]
default = { data_in = "int<8>", weight = "int<8,channel=0>" }
"""


def test_summaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"document": word, "summary": " ".join(word[:2].upper())} for word in WORDS]
    write_pairs(Path("set"), rows, splits=("train", "test"))  # validation is drawn
    Path("recipe.toml").write_text(RECIPE)
    assert main(["--passes", "train,eval", "recipe.toml", "-o", "out/float.toml"]) == 0
    assert {"test/rouge1", "test/rouge2", "test/rougeL", "val/rougeL"} <= set(capsys.readouterr().err.split())
    assert main(["--passes", "quantize,eval{split=val}", "out/float.toml", "-o", "out/int8.toml"]) == 0
    assert {"val/loss", "val/rougeL"} <= set(capsys.readouterr().err.split())
