"""SmolLM2 out of its GGUF file: as surprised as transformers has it, and little more in 8-bit integers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import mase
from mase.passes import Pipeline
from mase.passes.context import Context
from tests.examples.packaged import lay_out, needs

ROOT = Path(__file__).parents[2]
WINDOWS, LENGTH = 8, 512


@pytest.mark.slow
@needs("smollm2", "wikipedia")
def test_perplexity_in_float_and_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("datasets", "gguf", "accelerate"):
        pytest.importorskip(library)
    lay_out(tmp_path / "data", "smollm2", "wikipedia")
    monkeypatch.chdir(tmp_path)
    graph = mase.load(ROOT / "examples/smollm2/float.toml")
    graph.header.data["limit"] = {"test": WINDOWS}
    ctx = Context(graph)
    Pipeline("eval,quantize,eval").run_in(ctx)
    found = ctx.metrics["test/perplexity"]
    assert found["float"] == pytest.approx(_of_transformers(tmp_path / "data"), rel=1e-3)
    assert found["quantized"] <= 1.03 * found["float"]


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
