"""Estimates of hardware: the fit against what was synthesised, the counts of a layer by hand."""

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import mase
from mase.ir import Graph, MaseError, parse_format
from mase.ir.ops import integer
from mase.passes import Context
from mase.passes.analyses.cost import cost
from mase.passes.analyses.hardware.fabric import dsp_slices, luts, measured
from mase.passes.analyses.hardware.layers import Device, resources_of
from mase.passes.analyses.hardware.resources import Resources
from tests.passes.graphs import mlp

ROOT = Path(__file__).parents[3]
FIXED8, FIXED4 = parse_format("fixed<8,4>"), parse_format("fixed<4,3>")


def quantized(data: str = "fixed<8,4>", weight: str = "fixed<4,3>") -> Graph:
    graph = mlp()  # 4 -> 8, relu, 8 -> 3
    x, w = parse_format(data), parse_format(weight)
    graph["fc1"].op = integer.LinearInteger(data_in=x, weight=w, bias=FIXED8)
    graph["relu"].op = integer.ReluInteger(data_in=x)
    graph["fc2"].op = integer.LinearInteger(data_in=x, weight=w, bias=None)
    graph.level = "quantized"
    return graph


def estimate(graph: Graph, **options: int | bool) -> dict[str, float]:
    ctx = Context(graph)
    cost(graph, ctx, **options)  # type: ignore[arg-type]
    return {name: values["quantized"] for name, values in ctx.metrics.items()}


@pytest.mark.parametrize("circuit", sorted(measured().keys() - {"dsp"}))
def test_the_fit_is_near_what_was_synthesised(circuit: str) -> None:
    errors = [abs(luts(circuit, x, w) - lut) / max(lut, 1) for x, w, lut, _ in measured()[circuit]]  # type: ignore[arg-type]
    assert sorted(errors)[len(errors) // 2] < 0.15
    assert max(errors) < 0.3


def test_the_errors_are_those_that_the_documentation_states() -> None:
    errors = [
        abs(luts(circuit, x, w) - lut) / max(lut, 1)  # type: ignore[arg-type]
        for circuit, rows in measured().items()
        if circuit != "dsp"
        for x, w, lut, _ in rows
    ]
    assert statistics.median(errors) < 0.03
    assert max(errors) < 0.25


@pytest.mark.parametrize(("width", "published"), [(8, 19_900), (4, 8_600), (2, 4_700)])
def test_a_whole_layer_is_near_an_independent_synthesis(width: int, published: int) -> None:
    """A 16 to 16 linear layer of 8-bit activations with power-of-two scales, without DSP slices."""
    layer = 256 * luts("constant", 8, width) + 16 * luts("shift", 8 + width + 4, 8)
    assert layer == pytest.approx(published, rel=0.2)


def test_wider_costs_more() -> None:
    for circuit in ("variable", "constant", "shift", "dyadic"):
        found = [luts(circuit, x, w) for x, w in ((8, 4), (12, 8), (16, 8), (24, 8))]  # type: ignore[arg-type]
        assert found == sorted(found)
        assert found[0] < found[-1]


def test_a_dsp_slice_takes_a_product() -> None:
    assert dsp_slices(16, 12) == dsp_slices(12, 16) == 1


def test_a_layer_by_hand() -> None:
    graph = quantized()
    found = resources_of(graph["fc1"], {"N": 1}, Device())
    # 32 products by constants at once, one position; the graph's input needs no requantizer.
    assert found == Resources(lut=-int(-32 * luts("constant", 8, 4) // 1), cycles=1)


def test_a_requantizer_is_needed_across_a_view() -> None:
    """fc2 reads what relu gives, through dropout here, as if it were not there."""
    through, direct = quantized(), quantized()
    assert direct["drop"].op.name == "nn.dropout"
    direct["fc2"].replace_input(direct["drop"], direct["relu"])
    expected = -int(-8 * luts("shift", 8, 8) // 1) - int(-24 * luts("constant", 8, 4) // 1)
    for graph in (through, direct):
        found = resources_of(graph["fc2"], {"N": 1}, Device())
        assert found == Resources(lut=expected, cycles=1)


def test_reuse_trades_area_for_time() -> None:
    one, four = estimate(quantized()), estimate(quantized(), reuse_factor=4)
    assert (one["cycles"], four["cycles"]) == (1, 4)
    assert (one["dsp"], four["dsp"]) == (0, 32 / 4 + 24 / 4)


def test_without_dsp_slices_products_take_tables() -> None:
    with_dsp, without = (
        estimate(quantized(), reuse_factor=4),
        estimate(quantized(), reuse_factor=4, dsp=False),
    )
    assert without["dsp"] == 0
    assert without["lut"] > with_dsp["lut"]


@pytest.mark.parametrize(("reuse_factor", "blocks"), [(32, 0), (3200, 1), (800, 1), (100, 4)])
def test_deep_memories_take_blocks(reuse_factor: int, blocks: int) -> None:
    """3200 weights of 4 bits: 3200 words fit in 4096 of 4 bits; 100 words of 128 bits in 4 times 36 bits."""
    graph = quantized()
    graph.state.declare("wide", graph.state.entry(graph["fc1"].params["weight"]).type.with_shape((8, 400)))
    graph["fc1"].params["weight"] = "wide"
    found = resources_of(graph["fc1"], {"N": 1}, Device(reuse_factor=reuse_factor))
    assert found is not None
    assert found.bram == blocks


def test_narrow_numbers_need_less() -> None:
    areas = [estimate(quantized(f"fixed<{w},2>", f"fixed<{w},2>"))["lut"] for w in (8, 6, 4)]
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < areas[0] / 2


def test_float_graphs_have_no_estimate() -> None:
    graph = mlp()
    ctx = Context(graph)
    cost(graph, ctx)
    assert "lut" not in ctx.metrics


def test_graphs_of_integers_have_no_estimate() -> None:
    graph = mlp()
    mase.Pipeline('quantize{default={data_in="fixed<8,4>", weight="fixed<4,3>"}},legalize-casts').run(graph)
    ctx = Context(graph)
    cost(graph, ctx)
    assert "lut" not in ctx.metrics
    assert ctx.metrics["macs"]["integer"] == 4 * 8 + 8 * 3


def test_a_reuse_factor_below_one_is_an_error() -> None:
    with pytest.raises(MaseError, match="reuse_factor is 0"):
        estimate(quantized(), reuse_factor=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("yosys") is None, reason="yosys is not installed")
def test_the_script_regenerates_rows(tmp_path: Path) -> None:
    made = tmp_path / "add.csv"
    script = ROOT / "tools/synthesize.py"
    subprocess.run([sys.executable, str(script), "--only", "add", "--out", str(made)], check=True)
    committed = (ROOT / "mase/passes/analyses/hardware/xilinx.csv").read_text().splitlines()
    assert set(made.read_text().splitlines()) <= set(committed)
