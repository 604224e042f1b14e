"""From the tables ``[model]`` and ``[data]`` to a data set, and from a recipe to a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase
from mase.cli.ch import main as ch
from mase.ir.graph import Header
from mase.passes import Pipeline
from mase.passes.context import Context
from mase.passes.data import data_of
from tests.runtime.text.tiny import bert, llama, save, sentences, write_csv

INT8 = 'quantize{default={data_in="int<8,token>",weight="int<8,channel=0>"}}'
RECIPE = """mase = 1

[model]
source = "hf:model"
task = "TASK"
pretrained = true

[data]
source = "SOURCE"
max_token_len = 16
batch_size = 8

[passes.train]
max_epochs = 1
report_to = "none"
progress = false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model, a csv file and a text."""
    save(tmp_path / "model", bert("SequenceClassification", num_labels=2))
    save(tmp_path / "llama", llama())
    write_csv(tmp_path / "reviews.csv", list(sentences(40)), ("text", "label"))
    (tmp_path / "plain.txt").write_text(" ".join(text for text, _ in sentences(60)))
    return tmp_path


def test_the_model_says_the_tokenizer_and_the_task(folder: Path) -> None:
    model = {"source": "hf:model", "task": "text-classification"}
    data = data_of(Header(model=model, data={"source": "csv:reviews.csv"}), folder)
    assert data.task == "text-classification"
    assert data.tokenizer.mask_token == "[MASK]"
    assert data.num_classes == 2


def test_the_data_say_it_better(folder: Path) -> None:
    model = {"source": "hf:model", "task": "text-classification"}
    data = data_of(Header(model=model, data={"source": "text:plain.txt", "task": "masked-lm"}), folder)
    assert data.task == "masked-lm"


@pytest.mark.parametrize(
    ("model", "task", "source", "metric"),
    [
        ("model", "text-classification", "csv:reviews.csv", "accuracy"),
        ("llama", "causal-lm", "text:plain.txt", "perplexity"),
    ],
)
def test_from_a_recipe_to_a_trained_graph_in_int8(
    model: str, task: str, source: str, metric: str, folder: Path
) -> None:
    recipe = RECIPE.replace("hf:model", f"hf:{model}").replace("TASK", task).replace("SOURCE", source)
    (folder / "g.toml").write_text(recipe)
    graph = mase.load(folder / "g.toml")
    ctx = Context(graph, base_dir=folder, output_dir=folder / "out")
    Pipeline(f"train,eval,{INT8},eval").run_in(ctx)
    found = ctx.metrics[f"test/{metric}"]
    assert found["quantized"] == pytest.approx(found["trained"], rel=0.2)
    mase.save(graph, folder / "done.toml")
    assert mase.load(folder / "done.toml") == graph


def test_a_graph_written_elsewhere_still_finds_its_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(folder.parent)
    source = f"{folder.name}/g.toml"
    Path(source).write_text(
        RECIPE.replace("TASK", "text-classification").replace("SOURCE", "csv:reviews.csv")
    )
    away = tmp_path_factory.mktemp("away") / "graph.toml"
    mase.save(mase.load(source), away)
    graph = mase.load(away)
    data = data_of(graph.header, away.parent)
    assert len(data.splits.train) == 32  # pyright: ignore[reportArgumentType]
    assert graph.header.data["source"] == f"csv:{folder.name}/reviews.csv"
    assert graph.header.data["batch_size"] == 8


def test_ch_trains_a_model_of_transformers_on_texts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    words = [
        "--task",
        "text-classification",
        "--max-epochs",
        "1",
        "--max-token-len",
        "16",
        "--report-to",
        "none",
    ]
    assert ch(["train", "hf:model", "csv:reviews.csv", "--pretrained", "--project", "p", *words]) == 0
    results = (folder / "mase_output/p/software/results.csv").read_text()
    assert "matthews" in results
    assert "text-classification" in (folder / "mase_output/p/software/graph.toml").read_text()
    capsys.readouterr()


def test_ch_names_the_language_task_by_its_short_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    words = ["--task", "lm", "--pretrained", "--max-token-len", "16", "--project", "p"]
    assert ch(["eval", "hf:llama", "text:plain.txt", *words]) == 0
    [results] = (folder / "mase_output/p").rglob("results.csv")
    assert "perplexity" in results.read_text()
    capsys.readouterr()
