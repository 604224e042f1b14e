"""``legalize-casts``: what it makes, and what it refuses with a remedy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError, parse_type
from mase.ir.ops import core, exact
from mase.ir.ops import nn as nn_ops
from mase.ir.ops import tensor as tensor_ops
from mase.ir.ops.exact import Quantity, Quantize, Requantize
from mase.passes.context import Context
from mase.passes.legalize import Scaling
from mase.runtime.storage import unpack_bits
from tests.runtime.integer_graphs import assert_equal_everywhere, legalized, quantized


def linear(**formats: str) -> Graph:
    layer = nn.Linear(4, 3)
    torch.manual_seed(0)
    nn.init.normal_(layer.weight)
    return quantized(
        layer, torch.randn(8, 4), **({"data_in": "fixed<8,4>", "weight": "fixed<4,2>"} | formats)
    )


def test_the_graph_of_one_layer() -> None:
    made = legalized(linear())
    assert [n.op.name for n in made.nodes] == ["core.input", "int.quantize", "int.linear", "int.dequantize"]
    layer = made["linear"]
    assert layer.meta[Quantity] == Quantity(scale=2.0**-6)
    assert str(made.state.entry("weight")) == "frozen i8[3,4] as si<4>"
    assert made.state["bias"].dtype in (torch.int8, torch.int16)
    assert str(made["linear_real"].type) == "f32[N,3]"


def test_weights_take_the_bits_of_their_format(tmp_path: Any) -> None:
    graph = legalized(linear())
    mase.save(graph, tmp_path / "g.toml")
    from safetensors.torch import load_file

    stored = load_file(tmp_path / "g.safetensors")["weight"]
    assert stored.numel() == 3 * 4 // 2
    assert unpack_bits(stored, 4, 12, signed=True).tolist() == graph.state["weight"].flatten().tolist()
    assert torch.equal(mase.load(tmp_path / "g.toml").state["weight"], graph.state["weight"])


def test_a_bias_finer_than_the_products_is_rounded_with_a_note() -> None:
    graph = linear(bias="fixed<16,9>")
    made = graph.copy()
    ctx = Context(made)
    mase.Pipeline("legalize-casts").run_in(ctx)
    assert any("bias fixed<16,9> is finer" in d.message for d in ctx.diagnostics)
    assert_equal_everywhere(graph, made, torch.randn(50, 4) * 4)


def test_equal_requantizations_are_one_node() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            return self.b(x) + self.c(x)

    graph = quantized(Twice(), torch.randn(8, 4), data_in="fixed<8,4>", weight="fixed<8,6>")
    made = legalized(graph)
    assert len(made.find(Requantize)) == 3  # of a for both, of b and of c for the sum
    assert len(made.find(Quantize)) == 1


def test_nothing_is_requantized_to_what_it_is() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    made = legalized(quantized(net, torch.randn(8, 4), data_in="fixed<8,4>", weight="fixed<8,6>"))
    (relu,) = made.find(Requantize)
    assert isinstance(relu.op, Requantize)
    assert (relu.op.to.min, relu.op.to.max, relu.op.to.shift) == (0, 127, 6)


def test_data_out_is_a_requantization_of_that_name() -> None:
    graph = linear(data_out="fixed<6,2>")
    made = legalized(graph)
    assert [n.name for n in made.nodes][2:] == ["linear_exact", "linear", "linear_real"]
    assert str(made["linear"].type) == "si<6>[N,3]"
    assert_equal_everywhere(graph, made, torch.randn(50, 4) * 4)


def test_codes_at_the_boundary() -> None:
    graph = linear()
    made = legalized(graph, "{boundary=codes}")
    assert [str(n.type) for n in made.inputs] == ["si<8>[N,4]"]
    assert [n.name for n in made.outputs] == ["linear"]
    x = torch.randint(-128, 128, (9, 4))
    with torch.no_grad():
        real = mase.lower(graph).eval()(x / 16)
    assert torch.equal(mase.interpret(made, x)["linear"] * 2.0**-6, real)


def test_one_requantization_a_channel_before_a_reshape() -> None:
    """Scales of channels do not survive a reshape, so the cast is placed before it."""
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    graph = quantized(net, torch.randn(8, 1, 4, 4), data_in="int<8>", weight="int<8,channel=0>")
    made = legalized(graph)
    (cast,) = made.find(Requantize)
    assert cast.inputs[0].name == "_0"
    assert cast.params.keys() == {"multiplier", "shift"}
    assert made.state[cast.params["shift"]].numel() == 3


class _Float(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.erf(self.a(x)))


@pytest.mark.parametrize(
    ("model", "formats", "message", "help"),
    [
        (_Float(), {}, "computes in float between quantized ops", "let a rule of quantize"),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), {}, "computes in float", 'quantize{nonlinear="table"}'),
        (
            nn.Linear(4, 4),
            {"data_in": "fp8_e4m3fn"},
            "data_in is fp8_e4m3fn, which is no integer",
            "fixed<W,F>",
        ),
        (nn.Linear(4, 4), {"weight": "int<8,group=2>", "data_in": "int<8>"}, "differ within a sum", "int<8>"),
        (nn.Linear(4, 4), {"data_in": "int<8,token>"}, "takes its scale from each tensor anew", "static"),
        (nn.Linear(4, 4), {"weight": "f32"}, "weight stays in float", "give it a format"),
        (nn.Linear(4, 4), {"bias": "f32"}, "bias stays in float", "give it a format"),
        (nn.ReLU6(), {"data_in": "fixed<2,-3>"}, "clips at 6.0, which is no number of fixed<2,-3>", "more"),
    ],
)
def test_what_has_no_integers(model: nn.Module, formats: dict[str, str], message: str, help: str) -> None:
    graph = quantized(model, torch.randn(8, 4), **({"data_in": "fixed<8>", "weight": "fixed<8>"} | formats))
    before = mase.dumps(graph)
    with pytest.raises(MaseError) as caught:
        mase.Pipeline("legalize-casts").run(graph)
    found = str(caught.value)
    assert message in found
    assert help in found
    assert "in: node" in found
    assert mase.dumps(graph) == before


@pytest.mark.parametrize("bias", ["fixed<16,8>", "fixed<16,14>"])
def test_batch_norm_that_was_not_folded(bias: str) -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.ReLU())
    norm: Any = net[1]
    torch.manual_seed(0)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(20, 3, 8, 8) * 3
    graph = quantized(net.eval(), x, data_in="fixed<8,4>", weight="fixed<8,6>", bias=bias)
    made = legalized(graph)
    assert made.find(exact.Scale)
    assert_equal_everywhere(graph, made, x)


def test_every_obstacle_is_named_at_once() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4), nn.Tanh())
    graph = quantized(net, torch.randn(8, 4), data_in="fixed<8>", weight="fixed<8>")
    with pytest.raises(MaseError) as caught:
        mase.Pipeline("legalize-casts").run(graph)
    assert len(caught.value.diagnostics) == 2


def test_wants_a_quantized_graph() -> None:
    graph = mase.trace(nn.Linear(4, 2), (torch.randn(2, 4),))
    with pytest.raises(MaseError, match="quantized"):
        mase.Pipeline("legalize-casts").run(graph)


def test_relu6_is_a_clamp() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU6(), nn.Linear(8, 2))
    graph = quantized(net, torch.randn(8, 4) * 9, data_in="fixed<8>", weight="fixed<8>")
    assert_equal_everywhere(graph, legalized(graph), torch.randn(500, 4) * 20)


@pytest.mark.parametrize(
    "net",
    [
        nn.AvgPool2d(3, 2, padding=1),
        nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        nn.AvgPool2d((2, 3), divisor_override=5),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.AdaptiveAvgPool2d((2, 4)),
        nn.AdaptiveAvgPool2d(1),
        nn.MaxPool2d(3, 2, padding=1),
    ],
    ids=str,
)
@pytest.mark.parametrize("format", ["fixed<8,5>", "fixed<3,1>", "ufixed<6,4,half_up>"])
def test_pools(net: nn.Module, format: str) -> None:
    x = torch.randn(30, 2, 8, 8) * 3
    graph = quantized(net, x, data_in=format, data_out=format)
    assert_equal_everywhere(graph, legalized(graph), x)


def test_embedding_gathers_codes() -> None:
    graph = Graph("words")
    x = graph.add(core.Input(), type=parse_type("i64[N,5]"), name="x")
    graph.state["e.weight"] = torch.randn(11, 6)
    y = graph.add(nn_ops.Embedding(), x, params={"weight": "e.weight"}, scope="e", name="e")
    graph.outputs = [graph.add(tensor_ops.Mean(dims=(1,)), y, name="m")]
    mase.Pipeline('quantize{default={data_in="fixed<8,5>", weight="fixed<8,5>"}}').run(graph)
    assert_equal_everywhere(graph, legalized(graph), torch.randint(0, 11, (40, 5)))


def test_scales_are_exact_rationals() -> None:
    third = Scaling((Fraction(1, 3), Fraction(2, 3)), axis=1)
    assert third.times(Scaling.power(-2)).factors == (Fraction(1, 12), Fraction(1, 6))
    assert Scaling.power(7).frac == -7
    assert Scaling.of(Fraction(3, 4)).frac is None


def test_the_verifier_finds_floats_and_opaque_sums() -> None:
    graph = legalized(linear())
    node = graph["linear"]
    real = graph.outputs[0]
    graph.outputs = [graph.add(nn_ops.Gelu(), real, name="gelu")]
    codes = graph.add(tensor_ops.Mean(), node, name="mean")
    found = {d.node: d.message for d in mase.ir.verify.verify(graph)}
    assert "a float in the midst of integers" in found["gelu"]
    assert "nothing bounds what it makes of integers" in found[codes.name]


def test_a_quantizer_of_plain_integers_is_refused() -> None:
    graph = mase.trace(nn.Linear(4, 2), (torch.randn(2, 4),))
    with pytest.raises(MaseError, match="plain integers have no scale"):
        mase.Pipeline('quantize{default={data_in="si<8>", weight="fixed<8,4>"}}').run(graph)
    assert exact.Code(8).family == ""


def test_a_refusal_says_what_is_called_and_where_an_input_goes() -> None:
    class Halved(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.relu(torch.relu(x) * 0.5), x.mT

    graph = quantized(Halved(), torch.randn(8, 4, 4), data_in="fixed<8,4>")
    with pytest.raises(MaseError, match="mul computes in float between quantized ops"):
        legalized(graph)

    class Shown(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.relu(x), x.transpose(1, 2)

    graph = quantized(Shown(), torch.randn(8, 4, 4), data_in="fixed<8,4>")
    with pytest.raises(MaseError, match="reaches an output, or an op in float") as caught:
        legalized(graph)
    assert caught.value.diagnostics[0].node == "x"
