"""Recipes: where models come from, their example inputs, and what is said when something is missing."""

import random
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mase.frontends.examples import example_inputs
from mase.frontends.recipe import Built, Recipe, register_source
from mase.frontends.source import build_model, materialise
from mase.ir import Graph, Header, MaseError

MODEL = '''
from torch import nn

class Net(nn.Module):
    """A net."""

    inputs = {"x": "f32[N,4]"}

    def __init__(self, width=3):
        super().__init__()
        self.fc = nn.Linear(4, width)

    def forward(self, x):
        return self.fc(x)

def make(width: int = 2):
    return nn.Sequential(nn.Linear(4, width))

ready = nn.Linear(4, 2)
number = 3

def fails():
    raise RuntimeError("no disk")

def nothing():
    return None
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mynet.py").write_text(textwrap.dedent(MODEL))
    (tmp_path / "package_of_nets").mkdir()
    (tmp_path / "package_of_nets" / "small.py").write_text(textwrap.dedent(MODEL))
    (tmp_path / "package_of_nets" / "broken.py").write_text("import torch\n\n1 / 0\n")
    (tmp_path / "package_of_nets" / "needy.py").write_text("import a_package_that_is_missing\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def graph(base_dir: Path | None = None, **recipe: Any) -> Graph:
    return materialise(Header(model=recipe, data={"source": "toy"}), base_dir=base_dir)


def test_a_file_beside_the_recipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = graph(folder, source="mynet.py:Net", args={"width": 5})
    assert made.name == "Net"
    assert str(made["fc"].type) == "f32[N,5]"
    assert made.header.data == {"source": "toy"}
    assert made["fc"].loc is not None
    assert made["fc"].loc.file == "mynet.py"
    monkeypatch.chdir(folder.parent)
    made = graph(folder, source="mynet.py:Net")
    assert made.header.model["source"] == f"{folder.name}/mynet.py:Net"
    assert isinstance(build_model(made.header.model), nn.Module)


def test_a_module_by_name(folder: Path) -> None:
    made = graph(source="package_of_nets.small:make", inputs={"input": "f32[N,4]"}, name="mine")
    assert (made.name, str(made.outputs[0].type)) == ("mine", "f32[N,2]")
    assert graph(source="package_of_nets.small:ready", inputs={"input": "f32[2,4]"})


def test_seed_and_global_random_state() -> None:
    random.seed(5)
    before = torch.get_rng_state(), random.getstate()
    first, second = (build_model({"source": "zoo:toy", "seed": 3}) for _ in range(2))
    other = build_model({"source": "zoo:toy", "seed": 4})
    assert torch.equal(first.state_dict()["fc1.weight"], second.state_dict()["fc1.weight"])
    assert not torch.equal(first.state_dict()["fc1.weight"], other.state_dict()["fc1.weight"])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_inputs_of_the_data_and_of_the_recipe() -> None:
    header, data = Header(model={"source": "torch.nn:Flatten"}), SimpleNamespace(input_type="f32[N,3,2]")
    assert str(materialise(header, data=data).outputs[0].type) == "f32[N,6]"
    header.model["inputs"] = {"input": "i64[N,L,2]"}
    made = materialise(header, data=data)
    assert str(made.outputs[0].type) == "i64[N,2*L]"


def test_examples() -> None:
    examples = example_inputs({"x": "bf16[N,3]", "ids": "i32[N,L]", "flag": "bool[2]"})
    assert {k: (v.dtype, tuple(v.shape)) for k, v in examples.items()} == {
        "x": (torch.bfloat16, (2, 3)),
        "ids": (torch.int32, (2, 8)),
        "flag": (torch.bool, (2,)),
    }
    assert int(examples["ids"].max()) <= 1


def test_the_tracer_of_a_recipe() -> None:
    made = graph(source="zoo:toy", tracer="fx")
    assert [n.op.name for n in made.nodes][1] == "torch.call"
    assert graph(source="zoo:digits-mlp", opaque=["layers.0"])["layers_0"].op.name == "torch.module"


def test_a_source_of_ones_own() -> None:
    @register_source("ones", options=("rows",))
    def _ones(recipe: Recipe) -> Built:
        return Built(nn.Linear(int(recipe.target), recipe.options["rows"]), "ones", {"input": "f32[N,4]"})

    assert str(graph(source="ones:4", rows=7).outputs[0].type) == "f32[N,7]"
    with pytest.raises(MaseError, match="did you mean 'rows'"):
        graph(source="ones:4", row=7)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({}, "names no source"),
        ({"source": "toy"}, "has no kind"),
        ({"source": "zo:toy"}, "there is no module 'zo'"),
        ({"source": "zoo:toi"}, "did you mean 'toy'"),
        ({"source": "zoo:toy", "args": {"hiden": 3}}, "did you mean 'hidden'"),
        ({"source": "zoo:toy", "arg": {}}, "unknown key 'arg'.*\n.*did you mean 'args'"),
        ({"source": "zoo:toy", "args": 3}, "args: expected a dict, found 3"),
        ({"source": "zoo:toy", "tracer": "fxx"}, "did you mean 'fx'"),
        (
            {"source": "zoo:toy", "inputs": {"y": "f32[N,1,2,2]"}},
            r"it has no 'y'(.|\n)*Toy\.forward takes x",
        ),
        ({"source": "zoo:toy", "inputs": {"x": "f33[N,4]"}}, "unknown format 'f33'"),
        ({"source": "zoo:toy", "inputs": {"x": "f32[2*N,4]"}}, r"a size is a number or a name, found 2\*N"),
        ({"source": "zoo:toy", "inputs": {"x": "int"}}, "expected a tensor of a machine type"),
        ({"source": "zoo:toy-tiny", "pretrained": True}, "has no trained weights"),
        ({"source": "mynet.py:Nett"}, "did you mean 'Net'"),
        ({"source": "mynett.py:Net"}, r"no file .*mynett\.py(.|\n)*did you mean 'mynet\.py'"),
        ({"source": "mynet.py:number"}, "is no callable but a int"),
        ({"source": "mynet.py:nothing"}, "gives a NoneType and no nn.Module"),
        ({"source": "mynet.py:fails"}, r"fails with RuntimeError: no disk(.|\n)*mynet\.py:2"),
        ({"source": "mynet.py:make"}, "does not say which inputs it takes(.|\n)*write inputs"),
        ({"source": "mynet.py:Net", "args": {"width": "x"}}, "fails with TypeError"),
        ({"source": "package_of_nets.smal:make"}, r"no module 'package_of_nets\.smal'"),
        ({"source": "package_of_nets.broken:make"}, r"fails with ZeroDivisionError(.|\n)*broken\.py:3"),
        ({"source": "package_of_nets.needy:make"}, "no module 'a_package_that_is_missing'"),
    ],
)
def test_errors(folder: Path, recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message) as caught:
        graph(folder, **recipe)
    assert len(str(caught.value).splitlines()) < 8
