"""QONNX exports in qonnx's own executor: any width, every rounding, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.runtime.onnx import QonnxQuantizers, print_graph
from mase.runtime.onnx.saving import infer_shapes
from mase.runtime.verification.models import fixed_sizes
from tests.runtime.onnx.cases import FORMATS, POOLS, Residual, mlp
from tests.runtime.onnx.running import quantized, ties

pytest.importorskip("qonnx", reason="qonnx is not installed")


def wrong(net: nn.Module, x: Tensor, options: str) -> tuple[int, int]:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    graph = quantized(net, (x[:2],), options)
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


@pytest.mark.parametrize("name", ["average", "global", "unequal windows", "max"])
def test_pools_are_exact(name: str) -> None:
    net = nn.Sequential(POOLS[name], nn.ReLU())
    assert wrong(net, ties(50, 3, 7, 5), FORMATS["8 bits"])[0] == 0


def test_binary_weights_are_exact() -> None:
    assert wrong(mlp(), ties(100, 16), 'default={data_in="fixed<8,4>",weight="binary"}') == (0, 1600)
