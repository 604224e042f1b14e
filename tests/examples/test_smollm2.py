"""SmolLM2 out of its GGUF file: as surprised as transformers has it, and little more in 8-bit integers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.examples.documented import follow
from tests.examples.packaged import needs
from tests.examples.results import row

WINDOWS, LENGTH = 4, 512


@pytest.mark.slow
@needs("smollm2", "wikipedia")
def test_perplexity_in_float_and_in_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for library in ("datasets", "gguf", "accelerate"):
        pytest.importorskip(library)
    few = ("-D", f"data.limit.test={WINDOWS}")
    in_float, in_integers = follow("smollm2/float.toml", tmp_path, monkeypatch, capsys, *few)
    floating = row(in_float, "test/perplexity")[-1]
    assert floating == pytest.approx(_of_transformers(tmp_path / "data"), rel=1e-3)
    assert row(in_integers, "test/perplexity")[-1] <= 1.03 * floating


def _of_transformers(data: Path) -> float:
    import transformers

    auto: Any = transformers
    place = {"pretrained_model_name_or_path": data / "smollm2", "gguf_file": "smollm2.gguf"}
    model = auto.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval()
    text = (data / "wikipedia/test.txt").read_text(encoding="utf-8")
    tokens = auto.AutoTokenizer.from_pretrained(**place)(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        windows = tokens[0, : WINDOWS * LENGTH].reshape(WINDOWS, LENGTH).split(1)
        losses = [float(model(window, labels=window).loss) for window in windows]
    return math.exp(sum(losses) / len(losses))
