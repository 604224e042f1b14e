"""quantize in every family: by text and by keys, with scales from calibration, with what stays as it is."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import MovingAverageMinMaxObserver

import mase
from mase.ir import Graph, MaseError, parse_format
from mase.ir.formats import FixedWidth, Integer
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.printer import dumps
from mase.ir.text import loads
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.analyses.sketch import sketch
from mase.passes.analyses.statistics import Statistics
from mase.passes.transforms.choose_scales import least_error_scale
from mase.runtime.kernels import Scale, quantize, scale_of
from mase.runtime.lower import write_back
from mase.runtime.modules.scaled import bias_in_units
from tests.passes.transforms.test_quantize import calibrated, run
from tests.runtime.families import FORMATS


class Net(nn.Module):
    """Layers, attention, and arithmetic between them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)
        self.act = nn.GELU()
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.fc(x).chunk(3, -1)
        h = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.head(self.act(self.norm(x + h)).mean(1) / (1.5 + h.amax(1).square()))


@cache
def traced() -> tuple[Graph, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(4, 5, 8)
    return calibrated(mase.trace(Net(), (x,)), x), x


def graph_of() -> tuple[Graph, Tensor]:
    """The net with statistics, and what they were taken from."""
    graph, x = traced()
    return graph.copy(), x


def names(graph: Graph) -> dict[str, str]:
    """The quantized ops by node, without their dialect."""
    return {n.name: n.op.name.partition(".")[2] for n in graph.find(QuantizedOp)}


@pytest.mark.parametrize("family", FORMATS)
def test_a_net_in_every_family(family: str) -> None:
    graph, x = graph_of()
    keys = set(graph.state)
    text = FORMATS[family]
    made, _ = run(f'default={{data_in="{text}", weight="{text}"}} scales="dynamic"', graph)
    assert sorted(names(made).values()) == sorted(
        f"{op}_{family}"  # and no division, which stays in float unless a rule names it
        for op in ("linear", "linear", "attention", "add", "layer_norm", "gelu", "mean")
    )
    assert loads(dumps(made)) == made
    module = mase.lower(made)
    assert set(module.state_dict()) == keys
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    loss = module(x).square().mean()
    loss.backward()
    optimizer.step()
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (
            'name="block_fp", weight_width=8, weight_exponent_width=8, weight_block_size=[16]',
            "linear_block_fp",
        ),
        ('name="minifloat_ieee", weight_width=8, weight_exponent_width=4', "linear_minifloat_ieee"),
        ('name="mxint", data_in_width=8, data_in_block_size=32', "linear_mxint"),
        ('name="binary", weight_width=1', "linear_binary"),
    ],
)
def test_keyed_style(keys: str, name: str) -> None:
    graph, x = graph_of()
    made, _ = run(f'default={{data_in="f32", weight="f32"}} rules=[{{scope="fc", config={{{keys}}}}}]', graph)
    assert list(names(made).values()) == [name]
    assert mase.lower(made)(x).isfinite().all()


def test_operands_of_attention() -> None:
    graph, _ = graph_of()
    rules = '{op="attention", data_in="fixed<6>", value="fixed<4,2>"}'
    made, _ = run(f'default={{data_in="fixed<8,4>", weight="fixed<8,6>"}} rules=[{rules}]', graph)
    [attention] = [n for n in made.find(QuantizedOp) if n.op.name == "mase.attention_integer"]
    formats = {role: str(f) for role, f in attention.op.formats.items()}
    assert formats["value"] == "fixed<4,2>"
    assert formats["probs"] == "fixed<6,4>"
    for role, source in zip(("query", "key"), attention.inputs[:2], strict=True):
        seen = graph[source.name].meta[Statistics]
        assert formats[role] == str(FixedWidth(6).fit(seen.min, seen.max))


def test_a_result_s_format_comes_from_its_own_range() -> None:
    graph, _ = graph_of()
    made, _ = run('default={data_in="fixed<8,4>", weight="fixed<8,6>", data_out="fixed<8>"}', graph)
    seen = graph["head"].meta[Statistics]
    found: Any = made["head"].op.data_out
    assert found.min <= seen.min
    assert seen.max <= found.max
    assert 2 * max(-seen.min, seen.max) * 2**found.frac > 127


def test_islands_keep_their_bias_in_float() -> None:
    graph, _ = graph_of()
    made, _ = run('default={data_in="fixed<8,4>", weight="fixed<8,6>"}', graph)
    assert made["norm"].op.formats["bias"] is None
    assert str(made["fc"].op.formats["bias"]) == "fixed<32,10>"


def test_rounding_of_any_family() -> None:
    graph, _ = graph_of()
    made, _ = run('default={data_in="mxint<8,4>", weight="float<4,3>"} rounding="floor"', graph)
    assert str(made["fc"].op.formats["data_in"]) == "mxint<8,4,floor>"
    assert str(made["fc"].op.formats["weight"]) == "float<4,3,floor>"


# -- what had better stay in float -----------------------------------------------------------


class Positions(nn.Module):
    """An RMS norm by hand, and angles that depend on positions alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))
        self.register_buffer("frequency", torch.rand(8))

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        angle = ids.float() * self.frequency
        return x * self.weight * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) + angle


def test_tables_and_means_of_squares_stay_in_float_unless_named() -> None:
    x, ids = torch.randn(3, 8), torch.arange(3).view(3, 1)
    graph = mase.trace(Positions(), (x, ids))
    default = 'default={data_in="fixed<8,4>", weight="fixed<8,4>"}'
    made, _ = run(default, graph)
    reasons = {n.name: n.meta[NotQuantized].reason for n in made.nodes if NotQuantized in n.meta}
    assert sorted(names(made).values()) == ["add_integer", "mul_integer", "mul_integer"]
    assert reasons["mean"].startswith("it is a mean of squares")
    assert "it computes a table from constants and integers" in reasons.values()
    rules = 'rules=[{op="mean", data_in="fixed<16,4>"}, {op="mul", data_in="fixed<9,4>"}]'
    named, _ = run(f"{default} {rules}", graph)
    assert sorted(names(named).values()) == ["add_integer", "mean_integer", *["mul_integer"] * 3]


class Shares(nn.Module):
    """Linear attention's weights: of many small numbers, each its share of the sum."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.sum(-1, keepdim=True) + 1e-6)


def test_divisions_stay_in_float_unless_named() -> None:
    x = torch.tensor([[1e-4, 2e-4], [50.0, 70.0]])  # the first sum is nothing beside the second
    graph = mase.trace(Shares(), (x,))
    default = 'default={data_in="fixed<8,0>", weight="fixed<8,4>"}'
    made, _ = run(default, graph)
    [reason] = [n.meta[NotQuantized].reason for n in made.nodes if n.op.name == "tensor.div"]
    assert reason == "it is a division, and its divisor may round to zero"
    assert mase.lower(made)(x).isfinite().all()
    named, _ = run(f'{default} rules=[{{op="div", data_in="fixed<8,4>", other="fixed<32,16>"}}]', graph)
    assert "div_integer" in names(named).values()


# -- scales ----------------------------------------------------------------------------------

INT8 = 'default={data_in="int<8>", weight="int<8,channel=0>"}'


def test_activations_get_scales_of_their_whole_range() -> None:
    graph, x = graph_of()
    made, _ = run(INT8, graph)
    assert made["fc"].params["data_in_scale"] == "fc.data_in_scale"
    seen = graph["x"].meta[Statistics]
    assert made.state["fc.data_in_scale"].item() == pytest.approx(max(-seen.min, seen.max) / 127)
    assert str(made.state.entry("fc.data_in_scale")) == "buffer f32[]"
    assert loads(dumps(made)) == made
    module = mase.lower(made).eval()
    assert set(module.state_dict()) == set(made.state)
    assert (module(x) - mase.lower(graph).eval()(x)).abs().max() < 0.1
    x, layer = x * 3, module.get_submodule("fc")  # beyond the range that was seen
    q = quantize(x, "int<8>", Scale(made.state["fc.data_in_scale"]))
    w = quantize(made.state["fc.weight"], "int<8,channel=0>")
    unit = made.state["fc.data_in_scale"].double() * made.state["fc.weight"].abs().amax(1).double() / 127
    bias = bias_in_units(made.state["fc.bias"], unit)
    assert torch.allclose(layer(x), nn.functional.linear(q, w, bias), atol=1e-6)


def test_ops_without_weights_keep_their_scales_by_their_own_name() -> None:
    graph, _ = graph_of()
    made, _ = run(INT8, graph)
    [add] = [n for n in made.find(QuantizedOp) if n.op.name == "mase.add_scale_integer"]
    assert dict(add.params) == {f"{r}_scale": f"{add.name}.{r}_scale" for r in ("data_in", "other")}
    assert "query_scale" in next(n for n in made.find(QuantizedOp) if "attention" in n.op.name).params


def test_learned_scales_are_parameters_that_train() -> None:
    graph, x = graph_of()
    made, _ = run(f'{INT8} scales="learned"', graph)
    assert str(made.state.entry("fc.data_in_scale")) == "f32[]"
    module = mase.lower(made)
    module(x).square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all(), key
    scale = module.get_parameter("fc.data_in_scale")
    before = scale.item()
    torch.optim.SGD([scale], lr=0.01).step()
    assert scale.item() != before


@pytest.mark.parametrize("format", ["int<8>", "uint<8,asym>"])
def test_moving_scales_follow_what_training_sees(format: str) -> None:
    """Against the observer of torch.ao, which starts from the calibrated range; evaluation moves nothing."""
    graph, x = graph_of()
    options = f'default={{data_in="{format}", weight="int<8,channel=0>"}}'
    static, _ = run(options, graph)
    made, _ = run(f'{options} scales="moving"', graph)
    assert torch.equal(mase.lower(made).eval()(x), mase.lower(static).eval()(x))

    module = mase.lower(made).train()
    first = made.state["fc.data_in_range"].clone()
    observer = MovingAverageMinMaxObserver(averaging_constant=0.01, dtype=torch.quint8)
    observer.min_val, observer.max_val = first[0].clone(), first[1].clone()
    seen: list[torch.Tensor] = []
    module.get_submodule("fc").register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for factor in (1.0, 5.0, 0.5):
        module(x * factor).sum().backward()
    for each in seen:
        observer(each.detach())
    fc = module.get_submodule("fc")
    assert torch.allclose(fc.data_in_range, torch.stack([observer.min_val, observer.max_val]), rtol=1e-6)
    assert not torch.equal(fc.data_in_range, first)
    expected = scale_of(fc.data_in_range, parse_format(format))
    assert torch.equal(fc.data_in_scale, expected.value)
    if expected.zero_point is not None:
        by_torch = observer.calculate_qparams()
        assert fc.data_in_scale.item() == pytest.approx(by_torch[0].item(), rel=1e-6)
        assert fc.data_in_zero_point.item() == by_torch[1].item()

    before = fc.data_in_range.clone()
    evaluated = module.eval()(100 * x)
    assert torch.equal(fc.data_in_range, before)
    write_back(module, made)
    assert loads(dumps(made))["fc"].params["data_in_range"] == "fc.data_in_range"
    assert torch.equal(mase.lower(made).eval()(100 * x), evaluated)


def test_dynamic_scales_need_no_data() -> None:
    graph, _ = graph_of()
    for node in graph.nodes:
        node.meta.drop(Statistics)
    made, _ = run(f'{INT8} scales="dynamic"', graph)
    assert set(made.state) == set(graph.state)
    with pytest.raises(MaseError, match=r'say quantize\{scales="dynamic"\}'):
        run(INT8, graph)


@pytest.mark.parametrize("format", ["int<8,token>", "int<8,group=4>"])
def test_tokens_and_groups_are_always_dynamic(format: str) -> None:
    graph, _ = graph_of()
    made, _ = run(f'default={{data_in="{format}", weight="int<4,group=4>"}}', graph)
    assert set(made.state) == set(graph.state)


def test_zero_points() -> None:
    graph, x = graph_of()
    made, _ = run('default={data_in="uint<8,asym>", weight="int<8,channel=0>"}', graph)
    assert {"data_in_scale", "data_in_zero_point"} < set(made["fc"].params)
    assert loads(dumps(made)) == made
    assert (mase.lower(made).eval()(x) - mase.lower(graph).eval()(x)).abs().max() < 0.1


def test_another_format_drops_the_scales() -> None:
    graph, _ = graph_of()
    once, _ = run(INT8, graph)
    rule = (
        'op="*", data_in="fixed<8,4>", weight="fixed<8,6>", other="fixed<8,4>", '
        'query="f32", key="f32", value="fixed<8,4>", probs="f32"'
    )
    again, _ = run(f"{INT8} rules=[{{{rule}}}]", once)
    assert set(again.state) == set(graph.state)
    assert all(name.endswith("_integer") for name in names(again).values())


def test_a_module_called_twice_has_two_scales() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.fc(x) * 5)

    x = torch.randn(3, 4)
    graph = calibrated(mase.trace(Twice(), (x,)), x)
    made, _ = run(INT8, graph)
    keys = [n.params["data_in_scale"] for n in made.nodes if n.scope == "fc"]
    assert keys == ["fc.data_in_scale", "fc.data_in_scale_1"]
    module = mase.lower(made).eval()
    assert (module(x) - mase.lower(graph).eval()(x)).abs().max() < 0.2
    assert set(module.state_dict()) == set(made.state)


def test_a_model_that_is_one_layer() -> None:
    x = torch.randn(3, 4)
    graph = calibrated(mase.trace(nn.Linear(4, 2), (x,)), x)
    made, _ = run(INT8, graph)
    assert (mase.lower(made).eval()(x) - mase.lower(graph).eval()(x)).abs().max() < 0.1


def test_least_error_cuts_an_outlier_off() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 64)
    x[0, 0] = 30.0
    found = least_error_scale(Integer(4), float(x.min()), float(x.max()), sketch(x).squared_error)
    assert found.value is not None
    assert found.value < 30 / 7 / 2
