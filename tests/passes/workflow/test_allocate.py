"""The allocation: its knapsack against brute force, its sensitivities by hand, what it takes and leaves."""

from __future__ import annotations

import csv
import itertools
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import LightningDataModule
from rich.console import Console
from torch.utils.data import DataLoader

import mase
from mase.frontends.source import build_model
from mase.ir import Graph, MaseError, UsageError, parse_format
from mase.ir.files import save
from mase.ir.ops import nn, tensor
from mase.ir.ops.attention import Attention
from mase.ir.ops.quantized import QuantizedOp
from mase.passes import Context, Pipeline
from mase.passes.workflow.allocate import Allocate
from mase.passes.workflow.allocating import picture
from mase.passes.workflow.allocating.knapsack import Item, loss_of, price_of, solve
from mase.passes.workflow.allocating.layers import layers_of
from mase.passes.workflow.allocating.prices import Prices
from mase.passes.workflow.allocating.sensitivity import MEASURES, Probe
from mase.passes.workflow.allocating.variants import Variants
from mase.passes.workflow.searching.measure import Bench
from mase.passes.workflow.searching.objectives import COSTS
from mase.passes.workflow.searching.space import parse_space_rule
from mase.passes.workflow.searching.trial_graph import Formats, space_of
from mase.runtime.kernels import quantize
from tests.passes.graphs import graph_input, layer, net
from tests.runtime.integer_graphs import assert_equal_everywhere, legalized

VARIABLE = ("average_bits", "memory", "weight_bits", "bit_ops", "bits_moved", "lut")


@pytest.fixture(autouse=True)
def no_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else; one test does it."""
    if "picture" not in request.node.name:
        monkeypatch.setattr(picture, "to_png", lambda *args: b"")


def allocate(folder: Path | None = None, graph: Graph | None = None, **options: Any) -> Context:
    """Run the pass and give its context."""
    graph = graph or net()
    text = StringIO()
    ctx = Context(graph, output_dir=folder, console=Console(file=text, width=120))
    Allocate(**options).run(graph, ctx)
    ctx.printed = text.getvalue()  # type: ignore[attr-defined]
    return ctx


def widths(graph: Graph) -> dict[str, dict[str, int]]:
    return {
        node.name: {role: f.bits for role, f in node.op.formats.items() if f is not None and role != "bias"}
        for node in graph.nodes
        if isinstance(node.op, QuantizedOp)
    }


# -- the knapsack --------------------------------------------------------------------------------


def brute_force(layers: list[list[Item]], limits: list[float]) -> float | None:
    sums = (
        loss_of(layers, chosen)
        for chosen in itertools.product(*(range(len(items)) for items in layers))
        if all(p <= limit for p, limit in zip(price_of(layers, chosen), limits, strict=True))
    )
    return min(sums, default=None)


@st.composite
def knapsacks(draw: st.DrawFn) -> tuple[list[list[Item]], list[float]]:
    count = draw(st.integers(1, 2))
    price = st.one_of(st.integers(0, 12), st.integers(0, 10**9))
    loss = st.one_of(st.just(0.0), st.floats(-1, 50, allow_subnormal=False), st.floats(1e-6, 1e-3))
    item = st.builds(Item, loss, st.tuples(*[price] * count))
    layers = draw(st.lists(st.lists(item, min_size=1, max_size=4), min_size=1, max_size=5))
    least, near, most = (
        [sum(pick([item.prices[k] for item in items]) for items in layers) for k in range(count)]
        for pick in (min, lambda prices: draw(st.sampled_from(prices)), max)
    )
    limits = [
        draw(st.one_of(st.integers(low - 1, high + 1), st.integers(at - 1, at + 1)))
        for low, at, high in zip(least, near, most, strict=True)
    ]
    return layers, limits


@settings(max_examples=150, deadline=None)
@given(knapsacks())
def test_the_knapsack_is_solved_exactly(problem: tuple[list[list[Item]], list[float]]) -> None:
    layers, limits = problem
    expected, chosen = brute_force(layers, limits), solve(layers, limits)
    if expected is None:
        assert chosen is None
    else:
        assert chosen is not None
        assert all(p <= limit for p, limit in zip(price_of(layers, chosen), limits, strict=True))
        assert loss_of(layers, chosen) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_of_equal_choices_the_cheaper_is_taken() -> None:
    assert solve([[Item(0.0, (8,)), Item(0.0, (2,)), Item(1.0, (1,))]], [10]) == [1]


def test_hundreds_of_layers_take_no_time() -> None:
    generator = torch.Generator().manual_seed(0)
    size = torch.randint(1, 10**6, (300,), generator=generator).tolist()
    hurt = torch.rand(300, generator=generator).tolist()
    layers = [[Item(h * 4.0**-w, (s * w,)) for w in (2, 3, 4, 6, 8)] for s, h in zip(size, hurt, strict=True)]
    chosen = solve(layers, [4 * sum(size)])
    assert chosen is not None
    uniform = loss_of(layers, [2] * 300)
    assert loss_of(layers, chosen) < uniform


# -- sensitivities -------------------------------------------------------------------------------


class Points(LightningDataModule):
    """Two batches of unequal size."""

    name = "points"
    num_classes = 3

    def train_dataloader(self) -> Any:
        generator = torch.Generator().manual_seed(5)
        data = [(torch.randn(4, generator=generator), i % 3) for i in range(5)]
        return DataLoader(data, batch_size=3)  # type: ignore[arg-type]


def one_layer() -> tuple[Graph, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    weight, bias = torch.randn(3, 4, generator=generator), torch.randn(3, generator=generator)
    graph = Graph("one")
    x = graph_input(graph, "f32[N,4]")
    graph.outputs = [layer(graph, nn.Linear(), x, scope="fc", weight=weight, bias=bias)]
    return graph, weight, bias


def by_hand(sensitivity: str, role: str, format: str) -> float:
    """Over both batches, each by its size, in float64."""
    _, weight, bias = one_layer()
    total = 0.0
    for x, target in Points().train_dataloader():
        q = quantize(x if role == "data_in" else weight, parse_format(format))
        before = F.linear(x, weight, bias).double()
        after = (F.linear(q, weight, bias) if role == "data_in" else F.linear(x, q, bias)).double()
        p, q = before.softmax(1), after.softmax(1)
        picked = torch.arange(len(target)), target
        value = {
            "divergence": (p * (p / q).log()).sum(1).mean(),
            "loss": -q[picked].log().mean() + p[picked].log().mean(),
            "noise": (after - before).square().sum() / before.square().sum(),
        }[sensitivity]
        total += float(value) * len(x)
    return total / 5


@pytest.mark.parametrize("role", ["weight", "data_in"])
@pytest.mark.parametrize("sensitivity", MEASURES)
def test_sensitivities_by_hand(sensitivity: Any, role: str) -> None:
    format = "fixed<4,2>"
    graph, *_ = one_layer()
    ctx = Context(graph, data=Points())
    rules = [parse_space_rule({"op": "*", r: [format, "fixed<8,4>"]}) for r in ("weight", "data_in")]
    space, nodes = space_of(graph, ctx, Allocate().base, rules, by_hand=True)
    dimension = next(each for each in space.dimensions if each.role == role)
    made = graph.copy()
    Formats(graph, ctx, Allocate().base, nodes, space).apply_one(made, Context(made), dimension, format)
    assert widths(made) == {"fc": {role: 4}}
    probe = Probe(graph, ctx, sensitivity, "classification", "train", 8)
    assert probe(made) == pytest.approx(by_hand(sensitivity, role, format), rel=1e-4)
    assert probe(graph) == 0.0


def test_operands_that_follow_are_quantized_too() -> None:
    """The other operand of a product has the format of the first unless it decides for itself."""
    graph = Graph("product")
    a, b = graph_input(graph, "f32[N,4]", "a"), graph_input(graph, "f32[N,4]", "b")
    graph.outputs = [graph.add(tensor.Mul(), a, b, name="mul")]
    ctx = Context(graph)
    for roles, expected in (
        (["data_in"], {"data_in": 4, "other": 4}),
        (["data_in", "other"], {"data_in": 4}),
    ):
        rules = [parse_space_rule({"op": "*", role: ["fixed<4,2>", "fixed<8,4>"]}) for role in roles]
        space, nodes = space_of(graph, ctx, Allocate().base, rules, by_hand=True)
        made = graph.copy()
        formats = Formats(graph, ctx, Allocate().base, nodes, space)
        formats.apply_one(made, Context(made), space.dimensions[0], "fixed<4,2>")
        assert widths(made) == {"mul": expected}


# -- prices --------------------------------------------------------------------------------------


def prices(**options: Any) -> Prices:
    graph = net()
    ctx, made = Context(graph), Allocate(**options)
    space, nodes = space_of(graph, ctx, made.base, made._rules, by_hand=True)
    formats, bench = Formats(graph, ctx, made.base, nodes, space), made._bench(ctx)
    return Prices(variants=Variants(graph, formats, 0), bench=bench, layers=layers_of(space))


def test_prices_sum_up_to_the_cost_of_the_graph() -> None:
    """Exactly where layers cost by themselves, nearly where a requantizer depends on the layer before."""
    made = prices(widths=[3, 8])
    each = made.of_each()
    start = made.of([0] * len(each))
    for chosen in ([1, 0, 3], [2, 1, 0], [3, 1, 3]):
        real = made.of(chosen)
        for name, tolerance in {"memory": 1e-9, "average_bits": 1e-9, "bit_ops": 1e-9, "lut": 0.15}.items():
            rest = start[name] - sum(choices[0][name] for choices in each)
            summed = rest + sum(choices[i][name] for choices, i in zip(each, chosen, strict=True))
            assert summed == pytest.approx(real[name], rel=tolerance), name


# -- the pass ------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", VARIABLE)
def test_the_graph_keeps_to_the_budget(objective: str) -> None:
    graph = net()
    ctx = allocate(graph=graph, objective=objective, budget=0.6, widths=[2, 3, 5, 8])
    measured = costs_of(graph)
    assert measured[objective] <= 0.6 * ctx.metrics[objective]["widest"]
    assert measured[objective] == ctx.metrics[objective]["allocated"]
    assert graph.level == "quantized"


def costs_of(graph: Graph) -> dict[str, float]:
    bench: Bench = Allocate()._bench(Context(graph))
    return bench.costs(graph.copy())


@pytest.mark.parametrize("objective", ["bit_ops", "lut"])
def test_nothing_within_the_budget_hurts_less(objective: str, tmp_path: Path) -> None:
    """Of all 4 · 2 · 4 allocations, with the cost of each as a whole graph."""
    graph = net()
    ctx = allocate(tmp_path, graph, objective=objective, budget=0.6, widths=[3, 8])
    with (tmp_path / "allocation/layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = prices(widths=[3, 8])
    losses = [
        [float(row["sensitivity"]) for row in rows if row["layer"] == layer.name] for layer in made.layers
    ]
    limit = 0.6 * ctx.metrics[objective]["widest"]
    best = min(
        sum(mine[i] for mine, i in zip(losses, chosen, strict=True))
        for chosen in itertools.product(*(range(len(mine)) for mine in losses))
        if made.of(chosen)[objective] <= limit
    )
    assert sum(float(row["sensitivity"]) for row in rows if row["taken"] == "true") == pytest.approx(best)


def test_the_widest_budget_gives_the_widest_formats_that_help() -> None:
    graph = net()
    allocate(graph=graph, objective="weight_bits", budget=1.0, widths=[2, 8])
    assert widths(graph)["fc1"] == widths(graph)["fc2"] == {"data_in": 8, "weight": 8}


def test_constraints_bound_other_costs() -> None:
    graph = net()
    allocate(graph=graph, budget=0.9, constraints=["average_bits <= 3"], widths=[2, 3, 8])
    assert costs_of(graph)["average_bits"] <= 3
    assert widths(graph)["fc1"]["data_in"] == 8


def test_options_of_cost_count() -> None:
    ctx = allocate(objective="dsp", budget=0.5, widths=[2, 8], measure="cost{reuse_factor=2}")
    assert ctx.metrics["dsp"]["widest"] > 0
    assert ctx.metrics["dsp"]["allocated"] <= ctx.metrics["dsp"]["widest"] / 2


def test_a_space_gives_other_formats_and_binds_layers_together() -> None:
    graph = net()
    space = [
        {"op": "nn.linear", "per": "op", "weight": ["int<2,channel=0>", "int<8,channel=0>"]},
        {"op": "nn.linear", "data_in": "int<8>"},
    ]
    allocate(graph=graph, space=space, objective="average_bits", budget=4.0)
    assert widths(graph)["fc1"]["weight"] == widths(graph)["fc2"]["weight"] == 2
    assert graph["fc1"].op.name == "mase.linear_scale_integer"


def test_nodes_quantized_by_hand_stay_so() -> None:
    graph = net()
    Pipeline('quantize{default={} rules=[{scope=fc1 weight="fixed<5,3>" data_in="fixed<7,4>"}]}').run(graph)
    allocate(graph=graph, widths=[2, 4], budget=0.9)
    assert widths(graph)["fc1"] == {"data_in": 7, "weight": 5}
    assert set(widths(graph)["fc2"].values()) <= {2, 4}


def test_the_result_round_trips_and_runs_again_the_same(tmp_path: Path) -> None:
    first, second = net(), net()
    for graph in (first, second):
        Pipeline("allocate{widths=[2,3,8] budget=0.4}").run(graph, seed=3, console=Console(file=StringIO()))
    assert first == second
    assert first.header.history == ["allocate{widths=[2, 3, 8] budget=0.4}"]
    save(first, tmp_path / "graph.toml")
    assert mase.load(tmp_path / "graph.toml") == first


def test_mixed_widths_ship_bit_for_bit() -> None:
    """The module and the interpreter, in every value that both compute."""
    graph = net()
    allocate(graph=graph, widths=[2, 3, 5, 8], budget=0.4)
    assert len({bits for roles in widths(graph).values() for bits in roles.values()}) > 1
    assert assert_equal_everywhere(graph, legalized(graph), torch.randn(500, 1, 2, 2) * 3) > 5000


def test_the_table_the_files_and_the_picture(tmp_path: Path) -> None:
    ctx = allocate(tmp_path, widths=[2, 8])
    assert "bit_ops of net within" in ctx.printed  # type: ignore[attr-defined]
    for word in ("fc1", "relu", "fc2", "allocated", "all 8 bits", "all 2 bits", "together"):
        assert word in ctx.printed  # type: ignore[attr-defined]
    names = {"layers.csv", "budgets.csv", "allocation.png"}
    assert {path.name for path in ctx.artifacts} == names
    assert (tmp_path / "allocation/allocation.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "allocation/budgets.csv").open() as file:
        curve = [(float(a), float(b)) for a, b in list(csv.reader(file))[1:]]
    assert [b for _, b in curve] == sorted((b for _, b in curve), reverse=True)


def test_the_query_key_and_value_of_attention_decide_too() -> None:
    graph = Graph("attention")
    x = graph_input(graph, "f32[N,2,6,4]")
    graph.outputs = [graph.add(Attention(), x, x, x, name="attention")]
    rules = Allocate(widths=[4, 8])._rules
    space, _ = space_of(graph, Context(graph), Allocate().base, rules, by_hand=True)
    [made] = layers_of(space)
    assert [each.role for each in made.dimensions] == ["query", "key", "value"]
    assert len(made.choices) == 8


# -- going on ------------------------------------------------------------------------------------


def test_another_budget_measures_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allocate(tmp_path, widths=[2, 8])
    monkeypatch.setattr(Variants, "one", lambda self, *what: pytest.fail("measured again"))
    allocate(tmp_path, widths=[2, 8], budget=0.3, objective="lut")
    lines = (tmp_path / "allocation/sensitivities.jsonl").read_text().splitlines()
    assert len([line for line in lines if " of " in line]) == 5 * 2
    assert len({line for line in lines if '"all ' in line}) == 2 + 2  # two widths, two budgets


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = allocate(tmp_path / "whole", widths=[2, 8]).graph
    allocate(tmp_path, widths=[2, 8])
    file = tmp_path / "allocation/sensitivities.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:7])  # killed amid a line
    seen: list[object] = []
    one = Variants.one
    monkeypatch.setattr(Variants, "one", lambda self, *what: (seen.append(what), one(self, *what))[1])
    resumed = allocate(tmp_path, widths=[2, 8]).graph
    assert len(seen) == 10 - 3
    assert resumed == whole
    assert [json.loads(line) for line in file.read_text().splitlines()] == [json.loads(x) for x in lines]


@pytest.mark.parametrize("change", ["weights", "batches", "sensitivity"])
def test_another_measurement_begins_anew(change: str, tmp_path: Path) -> None:
    allocate(tmp_path, widths=[2, 8])
    before = (tmp_path / "allocation/sensitivities.jsonl").read_text()
    graph, options = net(), {"batches": 2} if change == "batches" else {}
    if change == "weights":
        graph.state["fc1.weight"] = graph.state["fc1.weight"] * 1.5
    if change == "sensitivity":
        options["sensitivity"] = "noise"
    allocate(tmp_path, graph, widths=[2, 8], **options)
    after = (tmp_path / "allocation/sensitivities.jsonl").read_text()
    assert before.splitlines()[0] != after.splitlines()[0]
    assert not set(before.splitlines()) & set(after.splitlines())


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("objective=luts", "did you mean 'lut'"),
        ("objective=accuracy", "unknown objective 'accuracy'"),
        ('constraints=["dsb <= 3"]', "did you mean 'dsp'"),
        ('constraints=["lut >= 3"]', "asks for a higher cost"),
        ('constraints=["lut < 3"]', "malformed constraint"),
        ("budget=0", "budget is 0"),
        ("batches=0", "batches is 0"),
        ("sensitivity=hurt", "sensitivity"),
        ('widths=[4] space=[{op="*" weight=["fixed<2>"]}]', "both widths and space"),
        ("widths=[99]", "fixed<99>"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pipeline(f"allocate{{{options}}}").check(net().header, "float", has_data=True)


def test_a_budget_that_nothing_meets_says_the_least() -> None:
    with pytest.raises(MaseError, match=r"no widths give bit_ops <= 10: bit_ops takes at least 192"):
        allocate(budget=10, widths=[2, 8])


@pytest.mark.parametrize("objective", ["cycles", "macs", "parameters", "dsp"])
def test_a_cost_without_a_choice_is_refused(objective: str) -> None:
    with pytest.raises(UsageError, match=f"{objective} is the same for all widths") as error:
        allocate(objective=objective)
    assert all(name in str(error.value) for name in VARIABLE)
    assert objective in COSTS


def test_one_width_is_no_choice() -> None:
    with pytest.raises(MaseError, match="nothing to choose"):
        allocate(widths=[4])


# -- a trained network ---------------------------------------------------------------------------


def digits() -> Graph:
    model = build_model({"source": "zoo:digits-cnn", "pretrained": True})
    graph = mase.trace(model.eval(), args=(torch.zeros(2, 1, 8, 8),))
    graph.header.data = {"source": "digits", "batch_size": 256}
    Pipeline("fold-batchnorm").run(graph)
    return graph


def accuracy(graph: Graph) -> float:
    ctx = Context(graph)
    Pipeline("eval").run_in(ctx)
    return ctx.metrics["test/accuracy"]["quantized"]


@pytest.mark.parametrize(
    ("width", "objective"), [(3, "lut"), pytest.param(3, "average_bits", marks=pytest.mark.slow)]
)
def test_better_than_one_width_everywhere(width: int, objective: str) -> None:
    """The digits CNN, without any training, for what 3 bits everywhere cost."""
    graph = digits()
    uniform = graph.copy()
    formats = f'default={{data_in="fixed<{width}>" weight="fixed<{width}>"}}'
    Pipeline(f"quantize{{{formats}}}").run(uniform)
    budget = costs_of(uniform)[objective]
    options = f"widths=[2,3,4,8] objective={objective} budget={budget} batches=1"
    Pipeline(f"allocate{{{options}}}").run(graph, console=Console(file=StringIO()))
    assert costs_of(graph)[objective] <= budget
    assert accuracy(graph) > accuracy(uniform)
