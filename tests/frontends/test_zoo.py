"""Every model of the zoo materialises, runs and round-trips."""

import pytest
import torch

from mase.frontends.source import build_model, materialise
from mase.frontends.zoo import find_model, model_names, register_model
from mase.ir import Header
from mase.ir.printer import dumps
from mase.ir.text import loads
from mase.ir.verify import verify
from mase.runtime.data import make_data
from mase.runtime.lower import lower
from mase.runtime.trainer import evaluate


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("tracer", ["export", "fx"])
def test_materialises(name: str, tracer: str) -> None:
    graph = materialise(Header(model={"source": f"zoo:{name}", "tracer": tracer}))
    verify(graph)
    assert graph.name == name
    assert loads(dumps(graph)) == graph
    assert not [n for n in graph.nodes if n.op.name == "torch.module"]
    model = build_model(graph.header.model).eval()
    shape = [7, *(d for d in graph.inputs[0].tensor_type.shape[1:] if isinstance(d, int))]
    x = torch.randn(shape)
    assert torch.equal(lower(graph).eval()(x), model(x))


def test_toy_manual_keeps_its_formats() -> None:
    config = {"fc2": {"data_in": "fixed<6,3>", "weight": "fixed<4,3>"}}
    graph = materialise(Header(model={"source": "zoo:toy-manual", "args": {"hidden": 8, "config": config}}))
    assert graph.level == "quantized"
    assert [str(graph[f"fc{i}"].op.weight) for i in (1, 2, 3)] == ["fixed<8,6>", "fixed<4,3>", "fixed<8,6>"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "most"), [("digits-cnn", 40_000), ("digits-mlp", 20_000), ("toy-tiny", 20)])
def test_sizes(name: str, most: int) -> None:
    assert sum(p.numel() for p in find_model(name)().parameters()) <= most


def test_a_model_may_say_its_inputs_by_its_arguments() -> None:
    recipe = {"source": "zoo:mlp", "args": {"features": 5, "hidden": [8], "outputs": 1, "batch_norm": True}}
    graph = materialise(Header(model=recipe))
    assert (str(graph.inputs[0].type), str(graph.outputs[0].type)) == ("f32[N,5]", "f32[N,1]")


def test_lenet_without_its_batch_norm() -> None:
    plain, normed = (find_model("lenet")(batch_norm=each) for each in (False, True))
    assert [type(layer).__name__ for layer in plain.features] == ["Conv2d", "ReLU", "MaxPool2d"] * 2
    assert [type(layer).__name__ for layer in normed.features] == [
        *("Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"),
        *("Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"),
    ]


@pytest.mark.parametrize(("name", "least"), [("digits-cnn", 0.98), ("digits-residual", 0.99)])
def test_trained_weights(name: str, least: float) -> None:
    model = build_model({"source": f"zoo:{name}", "pretrained": True})
    assert evaluate(model, make_data("digits"))["test/accuracy"] >= least


def test_a_model_of_ones_own() -> None:
    @register_model("test-affine", inputs={"x": "f32[N,3]"})
    class Affine(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x + 1

    assert "test-affine" in model_names()
    assert str(materialise(Header(model={"source": "zoo:test-affine"})).outputs[0].type) == "f32[N,3]"
