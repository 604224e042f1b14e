"""quantize{nonlinear="table"}: results get formats, and the lowered graph computes them in integers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import mase
from mase.ir import Graph, MaseError
from mase.ir.ops.quantized import QuantizedOp
from mase.passes import Pipeline
from mase.passes.analyses.statistics import Statistics


class Block(nn.Module):
    """A norm, attention, an activation and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.rms = nn.RMSNorm(16)
        self.act = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self.norm(x)
        y = nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
        return self.act(self.rms(y)).softmax(-1)


def quantized(options: str, model: nn.Module | None = None) -> Graph:
    torch.manual_seed(0)
    model = model or Block()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 1.0, 0.1)
    graph = mase.trace(model, (torch.randn(2, 6, 16),))
    for node in graph.nodes:
        node.meta.set(Statistics(count=9, min=-3.0, max=3.0, mean=0.0, variance=1.0, quantiles={}))
    Pipeline(f"quantize{{{options}}}").run(graph)
    return graph


def op_of(graph: Graph, name: str) -> Any:
    return next(n.op for n in graph.nodes if n.op.name == f"mase.{name}_integer")


def test_what_needs_a_format_gets_one() -> None:
    graph = quantized('nonlinear="table"')
    norm, rms, gelu = (op_of(graph, name) for name in ("layer_norm", "rms_norm", "gelu"))
    assert (str(norm.data_out), str(norm.bias), str(rms.data_out)) == (
        "fixed<8,5>",
        "fixed<16,14>",
        "fixed<8,5>",
    )
    assert str(gelu.data_out) == "fixed<8,5>"  # up to gelu(3.97), not the 3.0 of the statistics
    assert str(op_of(graph, "softmax").data_out) == "ufixed<8,8>"
    assert str(op_of(graph, "attention").probs) == "ufixed<8,8>"
    assert op_of(graph, "attention").data_out is None
    assert all(n.op.nonlinear == "table" for n in graph.find(QuantizedOp))


def test_prints_and_parses_back() -> None:
    graph = quantized('nonlinear="table"')
    again = mase.loads(mase.dumps(graph))
    assert again == graph
    assert op_of(again, "gelu").nonlinear == "table"


def test_the_lowered_graph_computes_on_the_grid() -> None:
    graph = quantized('nonlinear="table"')
    module = mase.lower(graph).eval()
    with torch.no_grad():
        found = module(torch.randn(4, 6, 16))
    assert torch.equal(found, (found * 256).round() / 256)
    trained = module.train()(torch.randn(4, 6, 16))
    trained.square().sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_float_changes_nothing() -> None:
    graph = quantized('nonlinear="float"')
    assert all(n.op.nonlinear == "float" for n in graph.find(QuantizedOp))
    assert op_of(graph, "gelu").data_out is None
    assert str(op_of(graph, "attention").probs) == "fixed<8,6>"
    assert [n.op for n in quantized("").nodes] == [n.op for n in graph.nodes]


def test_what_is_said_counts() -> None:
    rules = """{op="gelu", data_out="fixed<6,1>"}, {op="softmax", nonlinear="float"},
        {op="layer_norm", bias="fixed<9,2>"}"""
    default = '{data_in="fixed<12>", weight="fixed<8>", probs="ufixed<10,9>"}'
    graph = quantized(f'nonlinear="table", default={default}, rules=[{rules}]')
    assert str(op_of(graph, "gelu").data_out) == "fixed<6,1>"
    assert str(op_of(graph, "attention").probs) == "ufixed<10,9>"
    assert str(op_of(graph, "layer_norm").bias) == "fixed<9,2>"
    assert op_of(graph, "softmax").nonlinear == "float"
    assert op_of(graph, "softmax").data_out is None


def test_a_rule_alone() -> None:
    graph = quantized('rules=[{op="gelu", nonlinear="table"}]')
    assert op_of(graph, "gelu").nonlinear == "table"
    assert op_of(graph, "rms_norm").nonlinear == "float"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('nonlinear="table", rules=[{op="gelu", data_in="fixed<25,8>"}]', "too many lines"),
        ('nonlinear="table", rules=[{op="layer_norm", weight="f32"}]', "needs fixed<W,F> for weight"),
        ('nonlinear="table", default={data_in="mxint<8,32>"}', "layer_norm_mxint has no integer form"),
        ('nonlinear="table", scales=dynamic, default={data_in="int<8>", weight="int<8>"}', "that is known"),
        ('nonlinear="tables"', "nonlinear"),
        ('rules=[{op="gelu", nonlinear="no"}]', "float or table for nonlinear"),
    ],
)
def test_refused(options: str, message: str) -> None:
    with pytest.raises(MaseError, match=message):
        quantized(options)


class Biased(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=x[0, :, :6] * 0)


def test_a_mask_of_floats_gets_a_format() -> None:
    assert str(op_of(quantized('nonlinear="table"', Biased()), "attention").mask) == "fixed<16,8>"
    rule = 'nonlinear="table", rules=[{op="attention", mask="fixed<12,6>"}]'
    assert str(op_of(quantized(rule, Biased()), "attention").mask) == "fixed<12,6>"
    with pytest.raises(MaseError, match="for a mask of") as caught:
        quantized('nonlinear="table", rules=[{op="attention", mask="f32"}]', Biased())
    assert "nonlinear" in str(caught.value)


def test_formats_without_data_need_statistics() -> None:
    graph = mase.trace(nn.LayerNorm(16), (torch.randn(2, 16),))
    with pytest.raises(MaseError, match="needs statistics"):
        Pipeline('quantize{nonlinear="table", default={data_in="fixed<8,4>", weight="fixed<8,6>"}}').run(
            graph
        )
