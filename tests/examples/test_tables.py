"""The jet tagger on a table of 16 features: float, then 6 bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from mase.cli.opt import main
from tests.examples.packaged import lay_out, needs
from tests.examples.results import row

RECIPE = str(Path(__file__).parents[2] / "examples" / "tables" / "letter.toml")


@pytest.mark.slow
@needs("keel")
def test_letters_in_six_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path / "data", "keel")
    monkeypatch.chdir(tmp_path)
    assert main(["--passes", "train,eval", RECIPE, "-o", "out/float"]) == 0
    printed = capsys.readouterr().err
    assert row(printed, "test/accuracy")[-1] > 0.90
    assert row(printed, "test/auroc")[-1] > 0.99
    assert row(printed, "test/auroc_A")[-1] > 0.99
    assert main(["--passes", "quantize,train,eval", "out/float/graph.toml", "-o", "out/six-bit"]) == 0
    float_accuracy, _, six_bits = row(capsys.readouterr().err, "test/accuracy")
    assert six_bits > float_accuracy - 0.01
