"""ch from the command line to the files: each action, each kind of start, and what goes on from what."""

import csv
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import mase
from mase.cli.opt import main as mase_opt
from tests.cli.conftest import MaseOpt

TRAIN = ("train", "toy", "toy-tiny", "--config", "configs/train.toml")


def folder_of(out: str) -> Path:
    """Give the ``software`` folder of the project that a command names on standard output."""
    return Path(out.strip()) / "software"


def results(folder: Path) -> dict[tuple[str, str], float]:
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return {(row["metric"], row["stage"]): float(row["value"]) for row in csv.DictReader(file)}


@pytest.fixture
def trained(ch: MaseOpt) -> Path:
    """Train the toy for two epochs and give the ``software`` folder."""
    result = ch(*TRAIN, "--max-epochs", "2", "--project", "p")
    assert result.status == 0, result.err
    return folder_of(result.out)


def test_train_as_documented(ch: MaseOpt) -> None:
    result = ch(*TRAIN)
    assert result.status == 0, result.err
    folder = folder_of(result.out)
    assert folder.parent.name.startswith("toy_classification_toy-tiny_20")
    assert {path.name for path in folder.iterdir()} >= {
        *("graph.toml", "graph.safetensors", "results.csv", "training_ckpts", "tensorboard"),
    }
    assert (folder.parent / "hardware").is_dir()
    assert not list(folder.glob(".*")), "a mark of an unfinished command is left"
    reached = results(folder)
    assert reached["val/accuracy", "trained"] >= 0.98

    checkpoint = str(folder / "training_ckpts" / "best.ckpt")
    for words in (
        ("test", "--config", "configs/train.toml", "--load", checkpoint, "--load-type", "pl"),
        ("eval", "toy", "toy-tiny", "--load", checkpoint),
        ("test", "--load", str(folder / "graph.toml"), "--load-type", "mz"),
        ("test", "--load", str(folder.parent)),
    ):
        again = ch(*words)
        assert again.status == 0, again.err
        measured = results(folder_of(again.out) / "test")
        assert len({reached["test/accuracy", "trained"], *measured.values()}) == 2  # and the loss
        assert reached["test/accuracy", "trained"] in measured.values()


def test_the_result_goes_on_with_mase_opt(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mase_opt([str(trained / "graph.toml"), "-p", "eval", "-o", "out"]) == 0
    accuracy = results(trained)["test/accuracy", "trained"]
    assert f"{accuracy:.4f}" in capsys.readouterr().err


def test_a_second_run_keeps_the_first_checkpoint_by_number(ch: MaseOpt, trained: Path) -> None:
    best = trained / "training_ckpts" / "best.ckpt"
    first = best.read_bytes()
    assert ch(*TRAIN, "--max-epochs", "1", "--project", "p").status == 0
    assert best.read_bytes() != first
    assert best.with_name("best-1.ckpt").read_bytes() == first


def test_state_dicts_are_read_and_compared_key_by_key(ch: MaseOpt, trained: Path) -> None:
    weights: dict[str, Any] = {
        key: mase.load(trained / "graph.toml").state[key]
        for key in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias")
    }
    torch.save(weights, "good.pt")
    result = ch("test", "toy", "toy-tiny", "--load", "good.pt", "--load-type", "pt")
    measured = results(folder_of(result.out) / "test")
    assert measured["test/accuracy", "float"] == results(trained)["test/accuracy", "trained"]
    result = ch("test", "toy", "toy-tiny", "--load", str(trained / "graph.safetensors"))
    assert results(folder_of(result.out) / "test") == measured

    del weights["fc1.bias"], weights["fc2.bias"]
    torch.save({**weights, "more": torch.zeros(1), "fc3.bias": torch.zeros(3)}, "bad.pt")
    result = ch("test", "toy", "toy-tiny", "--load", "bad.pt")
    assert result.status == 1
    for line in ("missing: fc1.bias", "missing: fc2.bias", "unexpected: more", "shape: fc3.bias is [3]"):
        assert line in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("test", "toy-tiny", "toy-tiny", "--load", "{}/training_ckpts/best.ckpt"), "unexpected: fc3.weight"),
        (("test", "toy-tiny", "--load", "{}"), "was made from zoo:toy, not from zoo:toy-tiny"),
        (("test", "toy", "toy-tiny", "--load", "{}", "--load-type", "hf"), "cannot be read"),
        (
            ("test", "toy", "toy-tiny", "--load", "{}/graph.toml", "--load-type", "pl"),
            "not a Lightning checkpoint",
        ),
        (("train", "--load", "{}", "--project", "p"), "would be replaced"),
    ],
)
def test_what_does_not_fit_is_an_error(
    ch: MaseOpt, trained: Path, words: tuple[str, ...], message: str
) -> None:
    result = ch(*(word.format(trained) for word in words))
    assert result.status in (1, 2)
    assert message in result.err


# ----------------------------------------------------------------------------------------------- transform


def test_transform_translates_the_keyed_style(ch: MaseOpt, trained: Path) -> None:
    checkpoint = str(trained / "training_ckpts" / "best.ckpt")
    result = ch("transform", "toy", "toy-tiny", "--config", "configs/quantize.toml", "--load", checkpoint)
    assert result.status == 0, result.err
    folder = folder_of(result.out) / "transform"
    graph = mase.load(folder / "graph.toml")
    assert str(graph["fc1"].op.attributes()["weight"]) == "fixed<8,6>"
    assert results(folder)["test/accuracy", "quantized"] > 0.7
    with (folder / "summary.csv").open(encoding="utf-8") as file:
        rows = {row["node"]: row for row in csv.DictReader(file)}
    assert rows["fc1"]["before"] == "nn.linear"
    assert rows["fc1"]["after"] == "mase.linear_integer"
    assert rows["fc1"]["change"] == "changed"
    assert rows["view"]["change"] == ""
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert "mase.linear_integer" in page

    trained_on = ch("train", "--load", str(folder), "--batch-size", "16", "--max-epochs", "1")
    assert trained_on.status == 0, trained_on.err
    assert mase.load(folder_of(trained_on.out) / "graph.toml").level == "quantized"


@pytest.mark.slow
def test_transform_allocates_widths_and_the_graph_trains_on(ch: MaseOpt) -> None:
    table = '[passes.allocate]\nwidths = [2, 8]\nobjective = "average_bits"\nbudget = 4.0\nbatches = 1\n'
    Path("c.toml").write_text(table)
    result = ch("transform", "toy", "toy-tiny", "--config", "c.toml", "--project", "p")
    assert result.status == 0, result.err
    folder = folder_of(result.out) / "transform"
    assert results(folder)["average_bits", "allocated"] <= 4
    assert (folder / "allocation" / "layers.csv").exists()
    again = ch("train", "--load", str(folder), "--load-type", "mz", "--max-epochs", "1", "--project", "q")
    assert again.status == 0, again.err
    assert mase.load(folder_of(again.out) / "graph.toml").level == "quantized"


def test_transform_runs_the_tables_in_the_order_of_the_file(ch: MaseOpt) -> None:
    Path("c.toml").write_text("[passes.cse]\n[passes.annotate-types]\n[passes.dce]\n", encoding="utf-8")
    result = ch("transform", "toy", "--config", "c.toml")
    assert result.status == 0, result.err
    graph = folder_of(result.out) / "transform" / "graph.toml"
    history = tomllib.loads(graph.read_text(encoding="utf-8"))["history"]["passes"]
    assert history == ["cse", "annotate-types", "dce"]


# ------------------------------------------------------------------------------------------ other settings


def test_hardware_options_are_kept_in_the_result(ch: MaseOpt) -> None:
    Path("c.toml").write_text("[passes.dce]\n", encoding="utf-8")
    words = ("--target", "xcu250", "--num-targets", "2", "--github-ci")
    result = ch("transform", "toy", "--config", "c.toml", *words)
    assert "[hardware] of the result keeps target and num_targets" in result.err
    graph = folder_of(result.out) / "transform" / "graph.toml"
    kept = tomllib.loads(graph.read_text(encoding="utf-8"))["hardware"]
    assert kept == {"target": "xcu250", "num_targets": 2, "simulate": False}


@pytest.mark.slow
def test_the_target_is_the_part_that_a_project_is_for(ch: MaseOpt) -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    formats = '[passes.quantize]\ndefault = { data_in = "fixed<8,4>", weight = "fixed<6,4>" }\n'
    export = '[passes.export]\nformat = "hls"\nhls = { clock = 8.0, emulate = false }\n'
    Path("c.toml").write_text(formats + export, encoding="utf-8")
    result = ch("transform", "toy", "--config", "c.toml", "--target", "xc7z020clg400-1", "--num-targets", "2")
    assert result.status == 0, result.err
    assert "keeps num_targets; a project is for one device" in result.err
    project = folder_of(result.out) / "transform" / "graph.hls" / "project.tcl"
    assert 'set part "xc7z020clg400-1"' in project.read_text(encoding="utf-8")


def test_an_option_without_effect_is_said_to_have_none(ch: MaseOpt, trained: Path) -> None:
    result = ch("test", "--load", str(trained), "--learning-rate", "1e-2", "--batch-size", "64")
    assert "--learning-rate has no effect on eval" in result.err
    assert "--batch-size has" not in result.err


def test_log_level_hides_what_is_less(ch: MaseOpt) -> None:
    words = ("transform", "toy", "--config", "c.toml", "--learning-rate", "1")
    Path("c.toml").write_text("[passes.dce]\n", encoding="utf-8")
    assert "ch transform" in ch(*words).err
    warning = ch(*words, "--log-level", "warning").err
    assert "ch transform" not in warning
    assert "has no effect" in warning
    assert "has no effect" not in ch(*words, "--log-level", "error").err


def test_debug_runs_one_batch_and_keeps_no_checkpoint(ch: MaseOpt) -> None:
    result = ch("train", "toy", "toy-tiny", "--debug")
    assert result.status == 0, result.err
    folder = folder_of(result.out)
    assert not (folder / "training_ckpts").exists()
    assert (folder / "graph.toml").exists()
    assert "timing" in result.err


def test_settings_reach_the_passes(ch: MaseOpt) -> None:
    words = ("--training-optimizer", "sgd", "--trainer-precision", "bf16-mixed", "--weight-decay", "0.1")
    words += ("--max-steps", "3", "--accumulate-grad-batches", "2", "--report-to", "none", "--cpu", "1")
    words += ("--strategy", "auto", "--nodes", "1", "--log-every-n-steps", "1", "--seed", "5", "--gpu", "0")
    result = ch("train", "toy", "toy-tiny", *words)
    assert result.status == 0, result.err
    folder = folder_of(result.out)
    text = tomllib.loads((folder / "graph.toml").read_text(encoding="utf-8"))
    assert text["passes"]["train"] == {
        "optimizer": "sgd",
        "precision": "bf16-mixed",
        "weight_decay": 0.1,
        "max_steps": 3,
        "accumulate_grad_batches": 2,
        "log_every_n_steps": 1,
        "report_to": "none",
        "num_nodes": 1,
        "accelerator": "cpu",
        "strategy": "auto",
    }
    places = {"accelerator": "cpu", "num_nodes": 1, "strategy": "auto"}
    assert text["passes"]["eval"] == {"precision": "bf16-mixed", **places}
    assert text["data"] == {"source": "toy-tiny", "num_workers": 1}
    assert text["model"] == {"source": "zoo:toy", "seed": 5}
    assert not (folder / "tensorboard").exists()


def test_models_and_data_of_a_plugin_have_names(ch: MaseOpt) -> None:
    Path("mine.py").write_text(
        """
import torch
from mase.frontends.zoo import register_model
from mase.runtime.data import register_data
from mase.runtime.data.toy_tiny import ToyTiny

@register_model("test-ch-net", inputs={"x": "f32[N,1,2,2]"})
class Net(torch.nn.Module):
    \"\"\"One layer.\"\"\"

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(x.flatten(1))

@register_data("test-ch-data")
class Data(ToyTiny):
    \"\"\"The toy once more.\"\"\"
""",
        encoding="utf-8",
    )
    result = ch("train", "test-ch-net", "test-ch-data", "--load-plugin", "mine.py", "--max-epochs", "1")
    assert result.status == 0, result.err
    assert folder_of(result.out).parent.name.startswith("test-ch-net_classification_test-ch-data_")
    info = ch("--info", "--load-plugin", "mine.py").out
    assert "test-ch-net" in info
    assert "test-ch-data" in info


def test_a_model_of_ones_own_file(ch: MaseOpt) -> None:
    Path("net.py").write_text(
        "import torch\n"
        "def net(width):\n"
        "    layers = torch.nn.Linear(4, width), torch.nn.Linear(width, 2)\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), *layers)\n",
        encoding="utf-8",
    )
    text = '[model]\nsource = "net.py:net"\nargs = { width = 3 }\ninputs = { input = "f32[N,1,2,2]" }\n'
    Path("c.toml").write_text(f'dataset = "toy-tiny"\nmax_epochs = 1\n{text}', encoding="utf-8")
    result = ch("train", "--config", "c.toml")
    assert result.status == 0, result.err
    assert str(mase.load(folder_of(result.out) / "graph.toml").state.entry("1.weight")) == "f32[3,4]"


def test_a_folder_that_save_pretrained_wrote(ch: MaseOpt) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, vocab_size=40, max_position_embeddings=32, num_labels=2)
    model = transformers.BertForSequenceClassification(config)
    model.save_pretrained("saved")
    Path("c.toml").write_text("[passes.dce]\n", encoding="utf-8")
    result = ch("transform", "bert", "--config", "c.toml", "--load", "saved", "--task", "cls")
    assert result.status == 0, result.err
    state = mase.load(folder_of(result.out) / "transform" / "graph.toml").state
    expected = model.state_dict()
    assert set(state) >= {"classifier.weight"}
    assert torch.equal(state["classifier.weight"], expected["classifier.weight"])
