"""EfficientNet-Lite0 with its real weights: the graph is the model, in float and nearly so in 8 bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import mase
from mase.cli.opt import main
from mase.frontends.source import build_model
from mase.runtime.data import make_data
from tests.examples.packaged import lay_out, needs
from tests.examples.results import row

EXAMPLE = Path(__file__).parents[2] / "examples" / "efficientnet"
pytestmark = [pytest.mark.slow, needs("efficientnet-lite0", "imagenet-samples")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data and a copy of the example, as a reader has them."""
    lay_out(tmp_path / "data", "efficientnet-lite0", "imagenet-samples")
    shutil.copytree(EXAMPLE, tmp_path / "example")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_graph_is_the_model(folder: Path) -> None:
    graph = mase.load(folder / "example/graph.toml")
    model = build_model(graph.header.model).eval()
    lowered = mase.lower(graph).eval()
    options = {key: value for key, value in graph.header.data.items() if key != "source"}
    right = 0
    for images, labels in make_data(graph.header.data["source"], **options).test_dataloader():
        with torch.no_grad():
            expected, found = model(images), lowered(images)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(found.argmax(1), expected.argmax(1))
        right += int((found.argmax(1) == labels).sum())
    assert right == 18


def test_eight_bits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example/graph.toml", "-o", "out/graph.toml"]) == 0
    before, after = row(capsys.readouterr().err, "test/accuracy")
    assert before == 0.9
    assert after >= 0.8
    assert mase.load(folder / "out/graph.toml").level == "quantized"
