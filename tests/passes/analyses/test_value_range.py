"""Ranges of integers: by hand, in the report, and the float type that simulates them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mase
from mase.ir import Graph, parse_format
from mase.ir.diagnostics import Severity
from mase.passes import Context, Pipeline
from mase.passes.analyses.report_rows import rows_of
from mase.passes.analyses.value_range import SeenRange, ValueRange
from mase.runtime.kernels import quantize
from mase.runtime.lower import lower
from mase.runtime.modules.contraction import Contraction
from tests.runtime.integer_graphs import Batches, assert_equal_everywhere, legalized, simulated

WIDE, NARROW = "fixed<16,11>", "fixed<4,2>"


def two_layers(first: str = WIDE, second: str = NARROW, terms: int = 96) -> Graph:
    """The first layer sums products of two 16-bit numbers, the second of two 4-bit numbers."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(terms, 24), nn.ReLU(), nn.Linear(24, 5))
    nn.init.uniform_(model[0].weight, -15, 15)  # the products fill their bits
    graph = mase.trace(model, args=(torch.randn(4, terms),))
    rules = "".join(
        f'{{scope="{scope}" data_in="{format}" weight="{format}"}},'
        for scope, format in (("0", first), ("1", "fixed<24,12>"), ("2", second))
    )
    Pipeline(f"quantize{{rules=[{rules}]}}").run(graph)
    return graph


def ranges(graph: Graph) -> tuple[Graph, Context]:
    made = legalized(graph)
    ctx = Context(made)
    Pipeline("value-range").run_in(ctx)
    return made, ctx


def named(graph: Graph, scope: str) -> str:
    return next(node.name for node in graph.nodes if node.scope == scope and "weight" in node.params)


@pytest.mark.parametrize(
    ("largest", "held_by"),
    [(2**24, "float32"), (2**24 + 1, "float64"), (2**53, "float64"), (2**53 + 1, None)],
)
def test_what_floats_hold(largest: int, held_by: str | None) -> None:
    """Every integer up to a power of two: asked of torch itself, of the last two."""
    assert ValueRange(min=0, max=largest, width=64).held_by == held_by
    assert ValueRange(min=-largest, max=0, width=64).held_by == held_by
    for name in ("float32", "float64"):
        last = torch.tensor([largest - 1, largest])
        kept = torch.equal(last.to(getattr(torch, name)).long(), last)
        assert kept == (held_by is not None and held_by <= name)


def test_ranges_by_hand() -> None:
    graph = two_layers(second="fixed<4,2>")
    made, _ = ranges(graph)
    node = made[named(made, "2")]
    weight, bias = made.state[node.params["weight"]].long(), made.state[node.params["bias"]].long()
    most = weight.clamp(min=0).sum(1) * 7 + bias  # after a relu codes are 0 to 7
    least = weight.clamp(max=0).sum(1) * 7 + bias
    found = node.meta[ValueRange]
    assert (found.min, found.max) == (int(least.min()), int(most.max()))


def test_wide_sums_are_noted_and_reported() -> None:
    graph = two_layers()
    made, ctx = ranges(graph)
    wide = named(made, "0")
    found = made[wide].meta[ValueRange]
    assert found.width > 25
    assert found.held_by == "float64"
    noted = [d for d in ctx.diagnostics if "more than float32 holds" in d.message]
    assert wide in {d.node for d in noted}
    assert named(made, "2") not in {d.node for d in noted}
    cells = {row["node"]: row["range"] for row in rows_of(made)}
    assert str(cells[wide]).endswith(f"{found.width} bits (float64)")
    assert str(cells[named(made, "2")]).endswith("bits")
    assert ctx.stats["value-range"]["wider than float32 holds"] == len(noted)


def test_the_lowered_module_sums_as_wide_as_the_report_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so it equals the interpreter in every value, which sums in float32 do not."""
    graph, x = two_layers(), torch.randn(64, 96) * 4
    made, _ = ranges(graph)
    used: dict[int, torch.dtype] = {}
    contract = Contraction.evaluate

    def spy(self: Contraction, exact: torch.dtype, *args: object) -> torch.Tensor:
        used[len(self.weight)] = exact
        return contract(self, exact, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Contraction, "evaluate", spy)
    assert assert_equal_everywhere(graph, made, x) > 1000
    assert used == {24: torch.float64, 5: torch.float32}
    for outputs, scope in ((24, "0"), (5, "2")):
        held_by = made[named(made, scope)].meta[ValueRange].held_by
        assert str(used[outputs]) == f"torch.{held_by}"


def test_sums_in_float32_would_be_wrong() -> None:
    """Otherwise the test above would show nothing."""
    graph, x = two_layers(), torch.randn(64, 96) * 4
    state, format = graph.state, parse_format(WIDE)
    operands = (quantize(x, format), quantize(state["0.weight"], format), state["0.bias"])
    rough = F.linear(*operands)
    exact = simulated(graph, x)[named(graph, "0")]
    assert exact.dtype == torch.float64
    assert not torch.equal(rough.double(), exact)


def test_a_wide_result_that_leaves_the_graph_equals_too() -> None:
    torch.manual_seed(1)
    layer = nn.Linear(300, 6)
    nn.init.uniform_(layer.weight, -1, 1)
    x = torch.randn(40, 300)
    graph = mase.trace(nn.Sequential(layer), args=(x[:4],))
    Pipeline('quantize{default={data_in="fixed<16>" weight="fixed<16>"} batches=1}').run(graph, Batches(x))
    made, ctx = ranges(graph)
    assert any("more than float32 holds" in d.message for d in ctx.diagnostics)
    assert_equal_everywhere(graph, made, x)


def test_what_no_float_holds_is_a_warning_and_refused_by_the_module() -> None:
    graph = two_layers(first="fixed<26,21>")
    made, ctx = ranges(graph)
    warned = [d for d in ctx.diagnostics if d.severity is Severity.WARNING]
    assert {d.node for d in warned} == {named(made, "0")}
    with pytest.raises(mase.MaseError, match="no float type computes exactly"):
        lower(graph).eval()(torch.randn(2, 96))
    mase.interpret(made, torch.randn(2, 96))


def test_what_data_showed_lies_within_the_proof() -> None:
    graph, x = two_layers(), torch.randn(32, 96)
    made, _ = ranges(graph)
    Pipeline("value-range{source=data}").run(made, Batches(x))
    for node in made.nodes:
        if (seen := node.meta.get(SeenRange)) is not None:
            proved = node.meta[ValueRange]
            assert proved.min <= seen.min <= seen.max <= proved.max
            assert seen.batches == 1
