"""The main job, from a recipe to trained integers in files, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mase
from mase.cli.opt import main
from mase.frontends.zoo import model_names
from mase.ir.files import read_document
from mase.passes import Context, Pipeline
from mase.runtime.data import make_data

EXAMPLES = Path(__file__).parents[1] / "examples"

TOY = """mase = 1

[model]
source = "zoo:toy"

[data]
source = "toy-tiny"
batch_size = 16

[passes.train]
max_epochs = 10
learning_rate = 1e-2
scheduler = "cosine"
"""


def recipe(name: str) -> str:
    """A recipe of nothing but a model of the zoo."""
    return f'mase = 1\n\n[model]\nsource = "zoo:{name}"\n'


def run(ctx: Context, passes: str) -> dict[str, dict[str, float]]:
    """Run passes on the context's graph and give what they measured."""
    Pipeline(passes).run_in(ctx)
    return ctx.metrics


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "digits" / "graph.toml"
    assert (
        main(["--passes", "quantize,train,eval", str(EXAMPLES / "digits" / "graph.toml"), "-o", str(out)])
        == 0
    )
    shown = capsys.readouterr().err
    row = next(line for line in shown.splitlines() if "test/accuracy" in line)
    float_, quantized, trained = (float(cell) for cell in row.split("│")[2:5])
    assert float_ >= 0.975
    assert trained >= 0.97
    assert quantized >= 0.9
    assert {p.name for p in (out.parent / "training_ckpts").iterdir()} >= {"best.ckpt", "last.ckpt"}

    again = subprocess.run(
        [
            sys.executable,
            "-m",
            "mase.cli.opt",
            str(out),
            "--passes",
            "eval",
            "-o",
            str(tmp_path / "again.toml"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    row = next(line for line in again.stderr.splitlines() if "test/accuracy" in line)
    assert float(row.split("│")[2]) == trained


def test_eight_bits_are_within_half_a_point_of_float() -> None:
    graph = mase.load(EXAMPLES / "digits" / "graph.toml")
    graph.header.passes = {}
    ctx = Context(graph)
    found = run(ctx, 'eval,quantize{default={data_in="fixed<8>", weight="fixed<8>"}},eval')["test/accuracy"]
    assert found["float"] >= 0.975
    assert found["quantized"] >= found["float"] - 0.005


def test_a_written_graph_computes_the_same_bits(tmp_path: Path) -> None:
    import torch

    ctx = Context(mase.load(EXAMPLES / "digits" / "graph.toml"))
    Pipeline("quantize").run_in(ctx)
    x = torch.rand(7, 1, 8, 8)
    before = mase.lower(ctx.graph).eval()(x)
    mase.save(ctx.graph, tmp_path / "g.toml")
    assert torch.equal(mase.lower(mase.load(tmp_path / "g.toml")).eval()(x), before)


def test_toy_through_mase_opt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    assert (
        main(
            [
                "-p",
                "train,eval{split=val}",
                str(tmp_path / "toy.toml"),
                "-o",
                str(tmp_path / "out" / "g.toml"),
            ]
        )
        == 0
    )
    row = next(line for line in capsys.readouterr().err.splitlines() if "val/accuracy" in line)
    assert float(row.split("│")[-2]) >= 0.98


def test_toy_in_python() -> None:
    from mase.frontends.zoo.toy import Toy

    data = make_data("toy-tiny", batch_size=16)
    import torch

    torch.manual_seed(0)
    graph = mase.trace(Toy(), (torch.randn(4, 1, 2, 2),))
    ctx = Context(graph, data=data)
    found = run(ctx, 'train{max_epochs=10 learning_rate=1e-2 scheduler="cosine"},eval{split="val"}')
    assert found["val/accuracy"]["trained"] >= 0.98


def test_training_is_the_same_with_the_same_seed() -> None:
    import torch

    def weights() -> list[torch.Tensor]:
        ctx = Context(mase.load(EXAMPLES / "digits" / "graph.toml"), seed=5)
        Pipeline("quantize,train{max_epochs=1 baseline=false}").run_in(ctx)
        return [ctx.graph.state[k] for k in ctx.graph.state]

    first, second = weights(), weights()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", model_names())
def test_every_zoo_model_round_trips_before_and_after_quantize(name: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe(name))
    graph = mase.load(tmp_path / "recipe.toml")
    made = Pipeline('quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}').run(graph.copy())
    for g in (graph, made):
        text = mase.dumps(g)
        assert mase.loads(text) == g
        assert mase.dumps(mase.loads(text)) == text


PASS = '''"""A pass of one's own."""
import mase
from mase.ir.ops import nn

@mase.register_pass("clip-weights")
def clip_weights(graph: mase.Graph, ctx: mase.Context, *, limit: float = 1.0) -> None:
    """Clamp every linear weight to [-limit, limit].

    Args:
        limit: the largest magnitude.
    """
    for node in graph.find(nn.Linear):
        key = node.params["weight"]
        graph.state[key] = graph.state[key].clamp(-limit, limit)
        ctx.stat("clipped")
'''


def test_a_pass_of_fifteen_lines_in_a_file_of_ones_own(tmp_path: Path) -> None:
    assert len(PASS.strip().splitlines()) <= 15
    (tmp_path / "my_passes.py").write_text(PASS)
    (tmp_path / "toy.toml").write_text(TOY)
    out = tmp_path / "out.toml"
    args = [
        "--load",
        str(tmp_path / "my_passes.py"),
        "-p",
        "clip-weights{limit=0.01}",
        str(tmp_path / "toy.toml"),
    ]
    assert main([*args, "-o", str(out)]) == 0
    graph = read_document(out).graph
    assert graph is not None
    assert float(graph.state["fc1.weight"].abs().max()) == pytest.approx(0.01)


# -- bad input ------------------------------------------------------------------------------


def broken_weights(folder: Path) -> str:
    """A graph whose weights hold NaN."""
    graph = mase.load(EXAMPLES / "digits" / "graph.toml")
    graph.state["head.weight"] = graph.state["head.weight"] * float("nan")
    mase.save(graph, folder / "nan.toml")
    return str(folder / "nan.toml")


def missing_weights(folder: Path) -> str:
    """A graph whose weights file is gone."""
    mase.save(mase.load(EXAMPLES / "digits" / "graph.toml"), folder / "gone.toml")
    (folder / "gone.safetensors").unlink()
    return str(folder / "gone.toml")


def other_weights(folder: Path) -> str:
    """A graph whose weights file is another one's."""
    path = missing_weights(folder)
    mase.save(mase.load(EXAMPLES / "digits" / "graph.toml"), folder / "x.toml")
    changed = bytearray((folder / "x.safetensors").read_bytes())
    changed[-1] ^= 1
    (folder / "gone.safetensors").write_bytes(bytes(changed))
    return path


def wrong_classes(folder: Path) -> str:
    """Digits for a model of two classes."""
    text = TOY.replace('"toy-tiny"', '"digits"').replace(
        "[data]", 'inputs = { x = "f32[N,1,2,2]" }\n\n[data]'
    )
    text = text.replace('"zoo:toy"', '"two.py:Two"').replace("1,2,2]", "1,8,8]")
    (folder / "two.py").write_text(
        "from torch import nn\ndef Two():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))\n"
    )
    (folder / "two.toml").write_text(text.replace("x = ", "input = "))
    return str(folder / "two.toml")


def text_file(text: str) -> Callable[[Path], str]:
    """A file of the given text."""

    def write(folder: Path) -> str:
        (folder / "g.toml").write_text(text)
        return str(folder / "g.toml")

    return write


DIGITS = str(EXAMPLES / "digits" / "graph.toml")

BAD = {
    "pass": (lambda _: DIGITS, "quantise", 2, "did you mean 'quantize'?"),
    "option": (lambda _: DIGITS, "quantize{calibrat=1}", 2, "did you mean 'calibrate'?"),
    "op": (
        text_file('mase = 1\n[nodes]\nx = { op = "nn.rellu", type = "f32[]" }\n'),
        "dce",
        1,
        "did you mean 'nn.relu'?",
    ),
    "format": (lambda _: DIGITS, 'quantize{default={weight="fixd<8>"}}', 2, "did you mean 'fixed'?"),
    "source": (text_file(TOY.replace("zoo:toy", "zoo:toi")), "dce", 1, "did you mean 'toy'?"),
    "source kind": (text_file(TOY.replace("zoo:toy", "zooo:toy")), "dce", 1, "zoo"),
    "data source": (text_file(TOY.replace("toy-tiny", "toy-tinny")), "eval", 1, "did you mean 'toy-tiny'?"),
    "toml": (text_file(TOY.replace("[model]", "[model")), "dce", 1, "g.toml:3: error: malformed TOML"),
    "missing weights": (missing_weights, "eval", 1, "gone.safetensors is missing"),
    "other weights": (other_weights, "eval", 1, "does not match the sha256"),
    "nan weights": (broken_weights, "quantize", 1, "'head.weight' holds NaN"),
    "wrong class count": (wrong_classes, "train", 1, "classes"),
    "level": (lambda _: DIGITS, "quantize,fold-batchnorm", 1, "fold-batchnorm"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_screen_and_writes_nothing(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, passes, status, message = BAD[what]
    source = make(tmp_path)
    out = tmp_path / "out"
    assert main([source, "-p", passes, "-o", str(out / "graph.toml")]) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) <= 25
    assert not (out / "graph.toml").exists()
    assert not (out / "graph.safetensors").exists()
