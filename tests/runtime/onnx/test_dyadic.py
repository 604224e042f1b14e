"""Scales that a graph multiplies by in integers: files of quantizers say shifts exactly, and no others."""

from __future__ import annotations

import pytest
import torch

import mase
from mase.ir import Graph, MaseError
from mase.runtime.onnx import QdqQuantizers, QonnxQuantizers, Quantizers, print_graph
from tests.runtime.onnx.cases import Rows, mlp


def of_scales(options: str) -> Graph:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    graph = mase.trace(mlp(), (x[:2],))
    mase.Pipeline(f"quantize{{{options}}}").run(graph, data=Rows(x))
    return graph


@pytest.mark.parametrize("quantizers", [QdqQuantizers(), QonnxQuantizers()], ids=["qdq", "qonnx"])
@pytest.mark.parametrize("weight", ["int<8>", "int<8,channel=0>", "fixed<8>"])
def test_scales_that_are_no_shifts_are_refused(quantizers: Quantizers, weight: str) -> None:
    graph = of_scales(f'default={{data_in="int<8>",weight="{weight}"}},requant=dyadic')
    with pytest.raises(MaseError, match="scale of data_in is no power of two") as caught:
        print_graph(graph, quantizers)
    assert {d.node for d in caught.value.diagnostics} == {"_0", "_1", "_2"}
    assert 'format="integer"' in str(caught.value)


def test_one_weight_that_is_no_shift_is_refused() -> None:
    graph = of_scales('default={data_in="fixed<8>",weight="int<8,channel=0>"},requant=dyadic')
    with pytest.raises(MaseError, match="scale of weight is no power of two"):
        print_graph(graph, QdqQuantizers())


def test_float_scales_are_printed() -> None:
    graph = of_scales('default={data_in="int<8>",weight="int<8>"}')
    assert len(print_graph(graph, QdqQuantizers()).graph.node) > 0
