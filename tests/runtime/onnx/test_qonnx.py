"""QONNX exports in qonnx's own executor: any width, every rounding, bit for bit."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

import mase
from mase.frontends.onnx.reader import read_onnx
from mase.ir import Graph
from mase.runtime.onnx import QonnxQuantizers, print_graph
from mase.runtime.onnx.saving import infer_shapes
from mase.runtime.verification.models import fixed_sizes
from tests.runtime.onnx.cases import FORMATS, POOLS, Residual, Rows, mlp
from tests.runtime.onnx.running import quantized, ties

pytest.importorskip("qonnx", reason="qonnx is not installed")


def wrong(net: nn.Module, x: Tensor, options: str) -> tuple[int, int]:
    return wrong_of(quantized(net, (x[:2],), options), x)


def wrong_of(graph: Graph, x: Tensor) -> tuple[int, int]:
    """How many outputs differ, of how many."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    model = print_graph(graph, QonnxQuantizers(), "qonnx")
    infer_shapes(model)
    feeds = {graph.inputs[0].name: x.numpy()}
    (found,) = execute_onnx(ModelWrapper(fixed_sizes(model, feeds)), feeds).values()
    with torch.no_grad():
        expected = mase.lower(graph).eval()(x).numpy()
    return int((found != expected).sum()), expected.size


@pytest.mark.parametrize("name", FORMATS)
def test_network_is_exact(name: str) -> None:
    assert wrong(Residual(), ties(100, 1, 8, 8), FORMATS[name]) == (0, 1000)


@pytest.mark.parametrize("rounding", ["half_up", "floor"])
@pytest.mark.parametrize("name", ["8 bits", "unsigned after relus"])
def test_other_roundings_are_exact(name: str, rounding: str) -> None:
    options = f'{FORMATS[name]},rounding="{rounding}"'
    assert wrong(Residual(), ties(100, 1, 8, 8), options) == (0, 1000)


def test_numbers_off_every_grid_are_exact() -> None:
    x = torch.randn(300, 16, generator=torch.Generator().manual_seed(5)) * 4
    assert wrong(mlp(), x, FORMATS["8 bits"] + ',rounding="half_up"') == (0, 4800)


@pytest.mark.parametrize("zero", [0, 7, 8, 15])
@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
def test_zero_points_are_exact_on_ties(tmp_path: Path, rounding: str, zero: int) -> None:
    """Quant adds the zero point before it rounds: an odd one would send ties to the other side."""
    graph = mase.trace(mlp().eval(), (ties(2, 16),))
    formats = f'default={{data_in="uint<4,asym,{rounding}>",weight="fixed<8,6>"}}'
    mase.Pipeline(f"quantize{{{formats}}}").run(graph, Rows(ties(64, 16)))
    for node in graph.nodes:
        if "data_in_zero_point" in node.params:
            graph.state[node.params["data_in_zero_point"]] = torch.tensor(zero, dtype=torch.int32)
            graph.state[node.params["data_in_scale"]] = torch.tensor(2.0**-4)
    assert wrong_of(graph, ties(100, 16)) == (0, 1600)
    onnx.save(print_graph(graph, QonnxQuantizers(), "qonnx"), tmp_path / "model.onnx")
    back = read_onnx(tmp_path / "model.onnx")
    with torch.no_grad():
        x = ties(100, 16)
        assert torch.equal(mase.lower(back).eval()(x), mase.lower(graph).eval()(x))


@pytest.mark.parametrize("name", ["average", "global", "unequal windows", "max"])
def test_pools_are_exact(name: str) -> None:
    net = nn.Sequential(POOLS[name], nn.ReLU())
    assert wrong(net, ties(50, 3, 7, 5), FORMATS["8 bits"])[0] == 0


def test_binary_weights_are_exact() -> None:
    assert wrong(mlp(), ties(100, 16), 'default={data_in="fixed<8,4>",weight="binary"}') == (0, 1600)
