"""quantize: every op against float at 16 bits, and who gets which format."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mase
from mase.ir import Fixed, Graph, MaseError
from mase.ir.diagnostics import UsageError
from mase.ir.ops.quantized import QuantizedOp
from mase.passes import Context, Pipeline
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.analyses.statistics import Statistics
from tests.runtime.integer_graphs import Batches


class Fn(nn.Module):
    """A function of tensors as a model."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the function."""
        return self.fn(x)


def trained_norm(channels: int, cls: Callable[[int], nn.Module]) -> nn.Module:
    """Batch norm with statistics of its own."""
    norm = cls(channels)
    with torch.no_grad():
        for t in (*norm.parameters(), *norm.buffers()):
            if t.is_floating_point():
                t.copy_(torch.rand_like(t) + 0.5)
    return norm


def conv(**options: Any) -> nn.Module:
    """A convolution of 4 to 8 channels."""
    return nn.Conv2d(4, 8, 3, **options)


OPS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(16, 8), (3, 16)),
    "linear without bias": (lambda: nn.Linear(16, 8, bias=False), (3, 5, 16)),
    "conv1d": (lambda: nn.Conv1d(4, 8, 3, stride=2, padding=1, groups=2), (2, 4, 9)),
    "conv2d": (lambda: conv(padding=(1, 2), stride=(2, 1), dilation=(1, 2)), (2, 4, 9, 11)),
    "conv2d depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, padding="same"), (2, 4, 7, 7)),
    "conv2d even kernel same": (lambda: nn.Conv2d(4, 8, 4, padding="same"), (2, 4, 7, 7)),
    "conv2d reflect": (lambda: conv(padding=1, padding_mode="reflect"), (2, 4, 7, 7)),
    "conv2d circular": (lambda: conv(padding=(1, 2), padding_mode="circular", bias=False), (2, 4, 7, 7)),
    "conv_transpose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (2, 4, 5, 5),
    ),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, dilation=2), (2, 4, 5)),
    "batch_norm1d": (lambda: trained_norm(4, nn.BatchNorm1d), (5, 4)),
    "batch_norm2d": (lambda: trained_norm(4, nn.BatchNorm2d), (3, 4, 5, 5)),
    "relu": (nn.ReLU, (3, 16)),
    "max_pool1d": (lambda: nn.MaxPool1d(3, stride=2, padding=1), (2, 4, 9)),
    "max_pool2d": (lambda: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 4, 10, 9)),
    "avg_pool1d": (lambda: nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), (2, 4, 9)),
    "avg_pool2d": (lambda: nn.AvgPool2d(3, stride=2, padding=1), (2, 4, 9, 9)),
    "adaptive_avg_pool2d": (lambda: nn.AdaptiveAvgPool2d((1, 2)), (2, 4, 7, 8)),
    "adaptive_max_pool2d": (lambda: nn.AdaptiveMaxPool2d(3), (2, 4, 7, 8)),
    "matmul": (lambda: Fn(lambda x: x @ x.transpose(-1, -2)), (2, 3, 16)),
    "bmm": (lambda: Fn(lambda x: torch.bmm(x, x.transpose(1, 2))), (2, 3, 16)),
    "add": (lambda: Fn(lambda x: x + torch.flip(x, (1,))), (3, 16)),
    "sub": (lambda: Fn(lambda x: x - torch.flip(x, (1,))), (3, 16)),
    "mul": (lambda: Fn(lambda x: x * torch.flip(x, (1,))), (3, 16)),
}


def calibrated(graph: Graph, *inputs: torch.Tensor) -> Graph:
    """The graph with the statistics of one batch on its nodes."""
    from mase.passes.analyses.sketch import sketch

    values = Values(mase.lower(graph).eval())
    with torch.no_grad():
        values.run(*inputs)
    for node in graph.nodes:
        value = values.seen[node.name]
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            node.meta.set(sketch(value).statistics())
    return graph


class Values(torch.fx.Interpreter):
    """Keeps the value of every node."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.seen: dict[str, Any] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        """Run a node and keep what it gives."""
        self.seen[n.name] = super().run_node(n)
        return self.seen[n.name]


@pytest.mark.parametrize("name", OPS)
def test_sixteen_bits_are_within_a_few_steps_of_float(name: str) -> None:
    torch.manual_seed(0)
    make, shape = OPS[name]
    model = nn.Sequential(make()).eval()
    x = torch.randn(shape)
    graph = calibrated(mase.trace(model, (x,)), x)
    made = Pipeline('quantize{default={data_in="fixed<16>", weight="fixed<16>"}}').run(graph.copy())
    [node] = made.find(QuantizedOp)
    expected, found = model(x), mase.lower(made).eval()(x)
    terms = math.prod(made.state[node.params["weight"]].shape[1:]) if "weight" in node.params else x.shape[-1]
    steps = [f.step for r, f in node.op.formats.items() if isinstance(f, Fixed) and r != "bias"]
    largest = max(1.0, float(x.abs().max()))
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= max(steps) * largest * (1 + math.sqrt(terms)) * 2
    assert not torch.equal(found, torch.zeros_like(found))


def test_a_lost_bias_would_be_seen() -> None:
    model = nn.Linear(4, 2)
    x = torch.randn(8, 4)
    graph = calibrated(mase.trace(model, (x,)), x)
    made = Pipeline('quantize{default={data_in="fixed<16>", weight="fixed<16>"}}').run(graph)
    made["linear" if "linear" in made else next(n.name for n in made.find(QuantizedOp))].params = {
        "weight": "weight"
    }
    assert (mase.lower(made).eval()(x) - model(x)).abs().max() > 0.01


def test_embedding() -> None:
    model = nn.Embedding(10, 4)
    ids = torch.tensor([[1, 2], [3, 9]])
    made = Pipeline('quantize{default={weight="fixed<16>"}}').run(mase.trace(model, (ids,)))
    assert [n.op.name for n in made.find(QuantizedOp)] == ["mase.embedding_integer"]
    assert (mase.lower(made)(ids) - model(ids)).abs().max() < 2**-13


# -- rules ----------------------------------------------------------------------------------


def net() -> Graph:
    """Two blocks of linear and relu, and a function that has no quantized form."""
    torch.manual_seed(0)
    model = nn.Sequential()
    for name in ("body", "head"):
        model.add_module(name, nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    model.add_module("out", Fn(torch.sin))
    x = torch.randn(8, 4)
    return calibrated(mase.trace(model, (x,)), x)


def formats(graph: Graph, scope: str) -> dict[str, str]:
    """The formats of the node of a scope, as text."""
    [node] = [n for n in graph.nodes if n.scope == scope]
    assert isinstance(node.op, QuantizedOp)
    return {role: str(f) for role, f in node.op.formats.items()}


DEFAULT = 'default={data_in="fixed<8,4>", weight="fixed<8,6>"}'


def run(options: str, graph: Graph | None = None) -> tuple[Graph, Context]:
    """The graph after quantize with options, and what was said."""
    ctx = Context((graph or net()).copy())
    Pipeline(f"quantize{{{options}}}").run_in(ctx)
    return ctx.graph, ctx


def test_later_rules_refine_earlier_ones_role_by_role() -> None:
    rules = ", ".join(
        [
            '{op="linear", weight="fixed<6,5>"}',
            '{scope="head.*", data_in="fixed<5,3>"}',
            '{node="*", regex="head.0", bias="fixed<9,2>"}',
        ]
    )
    rules = f"rules=[{rules}]"
    graph, _ = run(f"{DEFAULT} {rules}")
    assert formats(graph, "body.0") == {
        "data_in": "fixed<8,4>",
        "weight": "fixed<6,5>",
        "bias": "fixed<32,9>",
    }
    assert formats(graph, "head.0") == {"data_in": "fixed<5,3>", "weight": "fixed<6,5>", "bias": "fixed<9,2>"}
    assert formats(graph, "head.1") == {"data_in": "fixed<5,3>"}


def test_keyed_style() -> None:
    config = 'config={name="integer", weight_width=4, weight_frac_width=3}'
    graph, _ = run(f'{DEFAULT} rules=[{{op="nn.linear", {config}}}]')
    assert formats(graph, "head.0")["weight"] == "fixed<4,3>"


def test_a_rule_that_matches_nothing_is_a_warning_with_a_remedy() -> None:
    _, ctx = run(f'{DEFAULT} rules=[{{op="nn.linaer", weight="fixed<4,3>"}}]')
    assert "matches no node" in str(ctx.diagnostics[0])
    assert "did you mean 'nn.linear'?" in str(ctx.diagnostics[0])


def test_what_stays_in_float_says_why() -> None:
    graph, _ = run(f'{DEFAULT} rules=[{{scope="head.0", skip=true}}, {{scope="head.1", data_in="f32"}}]')
    reasons = {n.scope: n.meta[NotQuantized].reason for n in graph.nodes if NotQuantized in n.meta}
    assert reasons == {
        "head.0": "rule {scope = 'head.0', skip = True} skips it",
        "head.1": "its formats are all float",
        "out": "torch.call has no quantized form",
    }


def test_by_hand_formats_stay_unless_a_rule_names_them() -> None:
    once, _ = run(DEFAULT)
    again, _ = run(
        'default={data_in="fixed<3,1>", weight="fixed<3,1>"} rules=[{scope="head.0", weight="fixed<2,1>"}]',
        once,
    )
    assert formats(again, "body.0") == formats(once, "body.0")
    assert formats(again, "head.0") == formats(once, "head.0") | {"weight": "fixed<2,1>"}


def test_a_default_says_what_it_does_not_reach() -> None:
    once, _ = run(DEFAULT)
    ctx = Context(once)
    Pipeline('quantize{default={data_in="fixed<3,1>"} rules=[{scope="head.0", skip=false}]}').run_in(ctx)
    kept = len(once.find(QuantizedOp)) - 1
    assert f"{kept} quantized nodes keep their formats" in ctx.diagnostics[0].message
    ctx = Context(once)
    Pipeline('quantize{rules=[{op="*", data_in="fixed<3,1>"}]}').run_in(ctx)
    assert not any("keep their formats" in d.message for d in ctx.diagnostics)


def test_integers_are_not_quantized() -> None:
    class Ids(nn.Module):
        def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x + x.flip(0), ids + ids.flip(0)

    graph = mase.trace(Ids(), (torch.randn(3, 4), torch.ones(3, 4, dtype=torch.long)))
    made, _ = run(DEFAULT, graph)
    assert len(made.find(QuantizedOp)) == 1
    assert any("no floats" in n.meta[NotQuantized].reason for n in made.nodes if NotQuantized in n.meta)


# -- calibration ----------------------------------------------------------------------------


def test_range_is_the_largest_without_overflow() -> None:
    graph, _ = run('default={data_in="fixed<8>", weight="fixed<8>"}')
    source = net()
    for node in graph.find(QuantizedOp):
        op = node.op
        assert isinstance(op, QuantizedOp)
        f, s = op.formats["data_in"], source[node.inputs[0].name].meta[Statistics]
        assert isinstance(f, Fixed)
        assert f.min <= s.min
        assert s.max <= f.max
        finer = Fixed(8, f.frac + 1)
        assert s.min < finer.min or s.max > finer.max


def test_least_error_beats_range_on_a_weight_with_an_outlier() -> None:
    from mase.runtime.kernels import quantize

    torch.manual_seed(0)
    model = nn.Linear(64, 64, bias=False)
    with torch.no_grad():
        model.weight[0, 0] = 4.0
    x = torch.randn(4, 64)
    graph = calibrated(mase.trace(model, (x,)), x)
    error: dict[str, float] = {}
    for how in ("range", "mse"):
        made, _ = run(f'default={{data_in="fixed<8,4>", weight="fixed<4>"}} calibrate="{how}"', graph)
        [node] = made.find(QuantizedOp)
        f = node.op.formats["weight"]  # type: ignore[attr-defined]
        weight = model.weight.detach()
        error[how] = float((quantize(weight, f) - weight).square().mean())
    assert error["mse"] < error["range"]


def test_the_default_bias_is_at_the_scale_of_the_products_unless_it_would_overflow() -> None:
    graph = net()
    assert formats(run(DEFAULT)[0], "head.0")["bias"] == "fixed<32,10>"
    graph.state["head.0.bias"] = torch.full((4,), 3e6)
    assert formats(run(DEFAULT, graph)[0], "head.0")["bias"] == "fixed<32,9>"


def test_a_bias_finer_than_the_products_is_told() -> None:
    _, ctx = run('default={data_in="fixed<8,2>", weight="fixed<8,3>", bias="fixed<16,9>"}')
    assert "is rounded to 5 bits" in str(ctx.diagnostics[0])
    assert not run(DEFAULT)[1].diagnostics


def test_rounding_for_a_whole_graph() -> None:
    graph, _ = run(f'{DEFAULT} rounding="half_up"')
    assert formats(graph, "head.0")["data_in"] == "fixed<8,4,half_up>"


def test_calibration_runs_opaque_modules_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Odd(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x.flatten(1)).sin()\n"
        "def Net():\n"
        "    return nn.Sequential(Odd(64, 16), nn.Linear(16, 10))\n"
    )
    recipe = [
        *("mase = 1", "[model]", 'source = "net.py:Net"', 'inputs = { input = "f32[N,1,8,8]" }'),
        *('opaque = ["0"]', "[data]", 'source = "digits"', ""),
    ]
    (tmp_path / "g.toml").write_text("\n".join(recipe))
    graph = mase.load(tmp_path / "g.toml")
    ctx = Context(graph, base_dir=tmp_path)
    Pipeline("quantize{batches=1}").run_in(ctx)
    assert [n.op.name for n in graph.nodes][-1] == "mase.linear_integer"
    assert any(n.op.name == "torch.module" for n in graph.nodes)


def test_without_statistics_or_data_it_says_what_to_do() -> None:
    graph = net()
    for node in graph.nodes:
        node.meta.drop(Statistics)
    with pytest.raises(MaseError, match="needs statistics of 'input'"):
        run("", graph)


def test_a_weight_that_is_not_finite_is_named() -> None:
    graph = net()
    graph.state["head.0.weight"] = torch.full((4, 4), float("nan"))
    with pytest.raises(MaseError, match=r"weight 'head\.0\.weight' holds NaN"):
        run(DEFAULT, graph)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('rules=[{weight="fixed<4,3>"}]', "selects nothing"),
        ('rules=[{op="nn.linear", wieght="fixed<4,3>"}]', "did you mean 'weight'?"),
        ('rules=[{regex="(", weight="fixed<4,3>"}]', "bad regular expression"),
        ('default={data_in="fixd<8,4>"}', "did you mean 'fixed'?"),
        ('calibrate="mean"', "expected one of 'range', 'mse'"),
        ("batches=-1", "look at one batch at least"),
        ("batches=0", "look at one batch at least"),
        ('rules=[{op=3, weight="fixed<4,3>"}]', "expected a string for op"),
    ],
)
def test_bad_options(options: str, message: str) -> None:
    with pytest.raises((MaseError, UsageError)) as caught:
        run(options)
    assert message in str(caught.value)


def test_what_was_always_zero_has_no_scale_that_says_anything() -> None:
    net, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4)), torch.ones(8, 4)
    nn.init.constant_(net[0].weight, -9)
    graph = mase.trace(net, (x[:2],))
    formats = 'quantize{default={data_in="int<8>",weight="int<8>"},batches=1'
    ctx = Context(graph.copy(), data=Batches(x))
    mase.Pipeline(f"{formats}}}").run_in(ctx)
    warned = [d for d in ctx.diagnostics if "was 0 in all that was seen" in d.message]
    assert [d.node for d in warned] == ["_2"]
    with pytest.raises(MaseError, match="was 0 in all that was seen") as caught:
        mase.Pipeline(f'{formats},nonlinear="table"}}').run(graph, Batches(x))
    assert caught.value.diagnostics[0].node == "_2"
    assert graph.level == "float"


def test_a_result_of_scaled_integers_has_no_scale_of_its_own_and_says_so() -> None:
    x = torch.randn(8, 4)
    graph = mase.trace(nn.Linear(4, 3), (x[:2],))
    ctx = Context(graph, data=Batches(x))
    formats = 'default={data_in="int<8>",weight="int<8>",data_out="int<8>"},batches=1'
    mase.Pipeline(f"quantize{{{formats}}}").run_in(ctx)
    (warned,) = [d for d in ctx.diagnostics if "from each batch anew" in d.message]
    assert warned.node == "linear"
    with pytest.raises(MaseError, match="data_out") as caught:
        mase.Pipeline("legalize-casts").run(graph)
    assert "leave it out" in str(caught.value)
