"""Scales of weights that are kept: chosen by error, trained, shared, the same wherever the graph goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, parse_format
from mase.ir.formats import Integer
from mase.ir.verify import verify
from mase.passes import Pipeline
from mase.passes.transforms.choose_scales import least_error_scales
from mase.runtime.integer import Interpreter
from mase.runtime.kernels import Scale, quantize, scale_of
from mase.runtime.modules.scales import fake_quantize_learned
from mase.runtime.onnx import QdqQuantizers, print_graph
from tests.runtime.onnx.cases import Rows
from tests.runtime.onnx.running import checked, integer_mismatches, run

WEIGHTS = ["int<4>", "int<3,narrow,channel=0>", "uint<4,asym,channel=0>"]


class Net(nn.Module):
    """A convolution, a transposed one, whose outputs are no rows of its weight, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.ConvTranspose2d(4, 2, 2)
        self.head = nn.Linear(2 * 49, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).relu()).relu().flatten(1))


def images(count: int = 32) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def quantized(weight: str, options: str = "", data_in: str = "int<8>") -> Graph:
    torch.manual_seed(0)
    graph = mase.trace(Net().eval(), args=(images(),))
    whole = re.sub(",(channel|group)=[0-9]+", "", weight)  # in a transposed convolution, channels are inputs
    rules = f'rules=[{{op="nn.conv_transpose2d" weight="{whole}"}}]'
    formats = f'default={{data_in="{data_in}" weight="{weight}"}}'
    return Pipeline(f"quantize{{{formats} {rules} {options}}}").run(graph, data=Rows(images()))


def outputs(graph: Graph, x: Tensor) -> Tensor:
    with torch.no_grad():
        return mase.lower(graph).eval()(x)


@pytest.mark.parametrize("text", [*WEIGHTS, "int<2,channel=1>", "int<1>", "uint<3>", "int<4,group=7>"])
def test_no_share_of_the_range_has_a_smaller_error(text: str) -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 5)[:, None]
    format = parse_format(text)
    assert isinstance(format, Integer)
    found = least_error_scales(format, weight)
    columns = weight.t() if format.channel == 1 else weight
    parts = [weight] if format.channel is None and format.group is None else list(columns)
    assert found.value is not None
    for i, part in enumerate(parts):
        one = parse_format(re.sub(",(channel|group)=.", "", text))
        whole = scale_of(part, one)
        assert whole is not None
        assert whole.value is not None
        scales = [whole.value * (1 - 0.05 * k) for k in range(15)]
        errors = [
            float((quantize(part, one, Scale(s, whole.zero_point)) - part).square().sum()) for s in scales
        ]
        own = Scale(found.value.reshape(-1)[i], whole.zero_point)
        assert float((quantize(part, one, own) - part).square().sum()) == pytest.approx(min(errors))


def test_weights_follow_calibrate_unless_told_otherwise() -> None:
    def scales(options: str) -> list[str]:
        return [key for key in quantized("int<4,channel=0>", options).state if "weight_scale" in key]

    three = ["first.weight_scale", "second.weight_scale", "head.weight_scale"]
    assert scales("") == scales("calibrate=mse weight_scales=dynamic") == []
    assert (
        scales("calibrate=mse") == scales("weight_scales=static") == scales("weight_scales=learned") == three
    )


@pytest.mark.parametrize("weight", WEIGHTS)
def test_static_scales_of_the_range_are_those_that_weights_have(weight: str) -> None:
    kept, own = quantized(weight, "weight_scales=static"), quantized(weight)
    assert torch.equal(outputs(kept, images()), outputs(own, images()))


@pytest.mark.parametrize("scales", ["static", "learned"])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_same_integers_in_every_execution(weight: str, scales: str) -> None:
    graph = quantized(weight, f"calibrate=mse weight_scales={scales} requant=dyadic")
    graph.state["head.weight_scale"] = -graph.state["head.weight_scale"]  # as far as an optimizer may go
    expected = outputs(graph, images())
    Pipeline("legalize-casts").run(graph)
    assert torch.equal(torch.as_tensor(Interpreter(graph)(images()).numpy()), expected)
    assert integer_mismatches(graph, images(), reference=False) == 0


def test_groups_keep_scales_where_they_lie_along_the_last_dimension(tmp_path: Path) -> None:
    graph = quantized("int<4,group=16>", "calibrate=mse")
    found = {key: str(graph.state.entry(key).type) for key in graph.state if "weight_scale" in key}
    assert found == {"second.weight_scale": "f32[]", "head.weight_scale": "f32[5,7]"}
    expected = outputs(graph, images())
    Pipeline("pack").run(graph)
    mase.save(graph, tmp_path / "graph.toml")
    assert torch.equal(outputs(mase.load(tmp_path / "graph.toml"), images()), expected)


def test_groups_of_given_scales_are_exported() -> None:
    torch.manual_seed(0)
    x = torch.randn(9, 20)
    graph = mase.trace(nn.Linear(20, 5), args=(x,))
    Pipeline('quantize{calibrate=mse default={data_in="int<8>" weight="int<4,group=8>"}}').run(
        graph, data=Rows(x)
    )
    assert graph.state["linear.weight_scale"].shape == (5, 3)
    model = checked(print_graph(graph, QdqQuantizers(), "qdq"))
    (found,) = run(model, {graph.inputs[0].name: x.numpy()}, optimise=False)
    torch.testing.assert_close(torch.from_numpy(found), outputs(graph, x), rtol=1e-5, atol=1e-5)


def test_a_scale_of_another_shape_breaks_a_rule() -> None:
    graph = quantized("int<4,channel=0>", "weight_scales=static")
    graph.state["head.weight_scale"] = torch.ones(3)
    (found,) = verify(graph)
    assert "weight_scale: expected shape [5] for int<4,channel=0>, found f32[3]" in found.message


@pytest.mark.parametrize("weight", WEIGHTS)
def test_files_hold_codes_of_given_scales(weight: str, tmp_path: Path) -> None:
    graph = quantized(weight, "calibrate=mse")
    expected = outputs(graph, images())
    Pipeline("pack").run(graph)
    assert " as " in str(graph.state.entry("head.weight"))
    for name in ("once", "twice"):  # the second file is made from the first one's codes
        mase.save(graph, tmp_path / f"{name}.toml")
        graph = mase.load(tmp_path / f"{name}.toml")
        assert torch.equal(outputs(graph, images()), expected)


def test_a_weight_has_one_scale_however_often_it_is_used() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
            self.other.weight = self.one.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.one(self.one(x)))

    x = torch.randn(8, 4)
    graph = mase.trace(Tied(), args=(x,))
    Pipeline('quantize{scales=dynamic weight_scales=learned default={weight="int<4>" data_in="int<8>"}}').run(
        graph
    )
    assert [key for key in graph.state if "scale" in key] == ["one.weight_scale"]
    module = mase.lower(graph)
    assert sum("weight_scale" in name for name, _ in module.named_parameters()) == 1


def test_a_channel_learns_as_in_torch() -> None:
    """PyTorch's own kernel, which takes what rounds to the last code as within; the paper, as beyond."""
    generator = torch.Generator().manual_seed(0)
    x, slope = (torch.randn(6, 50, generator=generator) for _ in range(2))
    scale = torch.rand(6, generator=generator) * 0.3 + 0.05
    factor = 1 / (50 * 7) ** 0.5
    codes = x / scale[:, None]
    x = torch.where((codes.round().clamp(-8, 7) == codes.round()) & ((codes > 7) | (codes < -8)), 0.0, x)

    def gradients(quantizer: str) -> list[Tensor]:
        a, s = x.clone().requires_grad_(), scale.clone().requires_grad_()
        if quantizer == "torch":
            made = torch._fake_quantize_learnable_per_channel_affine(a, s, torch.zeros(6), 0, -8, 7, factor)
        else:
            made = fake_quantize_learned(a, Integer(4, channel=0), s)
        made.backward(slope)
        assert a.grad is not None
        assert s.grad is not None
        return [made.detach(), a.grad, s.grad]

    for ours, theirs in zip(gradients("mase"), gradients("torch"), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_learned_scales_of_weights_train_and_come_back(tmp_path: Path) -> None:
    graph = quantized("int<3,channel=0>", "weight_scales=learned")
    module = mase.lower(graph)
    before = graph.state["head.weight_scale"].clone()
    module(images()).square().mean().backward()
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    after = dict(module.named_parameters())["head.weight_scale"]
    assert not torch.equal(after, before)
    graph.state["head.weight_scale"] = after
    mase.save(graph, tmp_path / "graph.toml")
    assert torch.equal(mase.load(tmp_path / "graph.toml").state["head.weight_scale"], after)


def test_another_format_leaves_no_scale_behind() -> None:
    graph = quantized("int<4>", "calibrate=mse")
    Pipeline('quantize{rules=[{op="nn.linear" weight="fixed<8,6>"}]}').run(graph, data=Rows(images()))
    assert [key for key in graph.state if "weight_scale" in key] == [
        "first.weight_scale",
        "second.weight_scale",
    ]
