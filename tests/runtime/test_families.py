"""Every op in every family: quantized, printed, lowered, run, trained; and what it computes, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir import Graph, MaseError, parse_format
from mase.ir.family import families, family_of
from mase.ir.ops import integer
from mase.ir.ops.attention import Attention
from mase.ir.ops.quantized import QuantizedOp, quantizable_ops, quantized_op, with_formats
from mase.ir.printer import dumps
from mase.ir.text import loads
from mase.ir.verify import verify
from mase.runtime.kernels import quantize
from mase.runtime.lower import lower
from mase.runtime.modules import AttentionMinifloatIEEE, LinearInteger, quantized_module
from tests.runtime.families import CASES, FORMATS, Case, graph_of, operands, rounded

EVERY = pytest.mark.parametrize("family", FORMATS)


def test_the_tables_are_complete() -> None:
    assert set(FORMATS) == set(families())
    assert {case.op.name for case in CASES.values()} == {op.name for op in quantizable_ops()}
    for family, text in FORMATS.items():
        assert parse_format(text).family == family


def quantized(case: Case, format: str) -> Graph:
    """The op with one format for everything but what attention computes inside."""
    graph = graph_of(case)
    node = graph["y"]
    roles = [role for role in type(case.op).quantized_roles if role != "probs"]
    node.op = with_formats(node.op, dict.fromkeys(roles, parse_format(format)))
    graph.level = "quantized"
    return graph


def by_hand(case: Case, graph: Graph, inputs: tuple[Tensor, ...], format: str, dtype: torch.dtype) -> Tensor:
    """The float op on operands and weights that were quantized one by one."""
    plain = graph_of(case)
    schema = case.op.schema()
    for role, key in plain["y"].params.items():
        if role in type(case.op).quantized_roles:
            plain.state[key] = rounded(case, role, plain.state[key], format).to(dtype)
    ready = [rounded(case, schema.operand(i), x, format) for i, x in enumerate(inputs)]
    module = lower(plain).eval()
    return module(*(x.to(dtype) if x.is_floating_point() else x for x in ready)).float()


def batch_norm_by_hand(case: Case, graph: Graph, x: Tensor, format: str) -> Tensor:
    """Its formats are those of scale and shift."""
    weight, bias, mean, var = (graph.state[f"unit.{role}"].double() for role in case.params)
    scale = weight / (var + 1e-5).sqrt()
    shift = quantize((bias - mean * scale).float(), format)
    return rounded(case, "data_in", x, format) * quantize(scale.float(), format).view(-1, 1, 1) + shift.view(
        -1, 1, 1
    )


@EVERY
@pytest.mark.parametrize("name", CASES)
def test_every_op_in_every_family(name: str, family: str) -> None:
    case, format = CASES[name], FORMATS[family]
    graph = quantized(case, format)
    assert graph["y"].op.name == f"mase.{name}_{family}"
    assert not verify(graph)
    assert loads(dumps(graph)) == graph
    module, inputs = lower(graph), operands(case)
    assert set(module.state_dict()) == set(graph_of(case).state)
    _check_result(name, case, graph, module, inputs, format)
    _check_training(case, module, inputs)


def _check_result(
    name: str, case: Case, graph: Graph, module: nn.Module, inputs: tuple[Tensor, ...], format: str
) -> None:
    with torch.no_grad():
        found = module.eval()(*inputs)
    exact = case.exact and format.startswith("fixed")
    dtype = torch.float64 if exact and name != "div" else torch.float32
    if name == "batch_norm":
        expected = batch_norm_by_hand(case, graph, inputs[0], format)
    else:
        with torch.no_grad():
            expected = by_hand(case, graph, inputs, format, dtype)
    if format.startswith("fixed") and (
        "avg" in name or name == "mean"
    ):  # a fixed-point 1/n, tested elsewhere
        assert torch.allclose(found, expected, atol=2**-6)
    else:
        assert torch.equal(found, expected)


def _check_training(case: Case, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    inputs = tuple(x.clone().requires_grad_(x.is_floating_point()) for x in inputs)
    module.train()
    result = module(*inputs)
    assert result.isfinite().all()
    result.square().mean().backward()
    floating = [x for x in inputs if x.is_floating_point()]
    for tensor in (*floating, *module.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
    if list(module.parameters()):
        torch.optim.SGD(module.parameters(), lr=0.01).step()


# -- attention --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["integer", "mxint", "minifloat_ieee", "scale_integer"])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"scale": 0.3}, {"grouped": True}], ids=str)
def test_weights_of_attention_have_a_format(family: str, options: dict[str, Any]) -> None:
    format = {"integer": "fixed<8,6>"}.get(family, FORMATS[family])
    op = quantized_op(Attention, family)
    assert op is not None
    module = quantized_module(op)(**options, config=dict.fromkeys(op.roles, format)).eval()
    query = torch.randn(2, 4, 5, 8)
    key, value = (torch.randn(2, 2 if options.get("grouped") else 4, 5, 8) for _ in range(2))
    q, k = quantize(query, format), quantize(key, format)
    v = quantize(value.transpose(-1, -2), format).transpose(-1, -2)
    if options.get("grouped"):
        k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    scores = q @ k.transpose(-1, -2) * options.get("scale", 1 / math.sqrt(8))
    if options.get("causal"):
        scores = scores + torch.full((5, 5), -torch.inf).triu(1)
    assert torch.equal(module(query, key, value), quantize(scores.softmax(-1), format) @ v)


@pytest.mark.parametrize("mask", [torch.rand(5, 5) > 0.5, torch.randn(5, 5)], ids=["bool", "added"])
def test_attention_step_by_step_is_attention(mask: Tensor) -> None:
    if mask.dtype is torch.bool:
        mask[2] = False  # a query that attends to nothing
    module = AttentionMinifloatIEEE(config={"probs": "float<8,23>"}).eval()
    x, y, z = torch.randn(3, 2, 4, 5, 8)
    expected = F.scaled_dot_product_attention(x, y, z, mask)
    assert torch.allclose(module(x, y, z, mask), expected, atol=1e-5)


# -- mixed families, results, wrong formats ----------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "name"),
    [
        ({"data_in": "fixed<8,4>", "weight": "int<4,group=4>"}, "mase.linear_scale_integer"),
        ({"weight": "binary<scaled,channel=0>", "data_in": "mxint<8,4>"}, "mase.linear_binary"),
        ({"data_in": "mxint<8,4>", "weight": "fixed<8,4>"}, "mase.linear_mxint"),
        ({"data_in": None, "weight": "fp8_e4m3fn"}, "mase.linear_minifloat_ieee"),
        ({"weight": "fixed<8,4>", "bias": "float<4,3>"}, "mase.linear_minifloat_ieee"),
        ({"data_in": "fixed<8,4>", "weight": "ufixed<8,4>", "data_out": "float<4,3>"}, "mase.linear_integer"),
    ],
)
def test_mixed_formats_are_of_the_weight_s_family(formats: dict[str, str | None], name: str) -> None:
    graph = graph_of(CASES["linear"])
    parsed = {role: parse_format(text) if text else None for role, text in formats.items()}
    graph["y"].op = with_formats(graph["y"].op, parsed)
    graph.level = "quantized"
    assert graph["y"].op.name == name
    assert loads(dumps(graph)) == graph
    assert not verify(graph)
    (x,) = operands(CASES["linear"])
    w, b = graph.state["unit.weight"], graph.state["unit.bias"]
    ready = [
        quantize(t, f) if (f := parsed.get(r)) else t for r, t in (("data_in", x), ("weight", w), ("bias", b))
    ]
    result = F.linear(*ready)
    out = parsed.get("data_out")
    assert torch.equal(lower(graph)(x), quantize(result, out) if out else result)


def test_formats_of_another_family_are_refused() -> None:
    graph = graph_of(CASES["linear"])
    graph["y"].op = integer.LinearInteger(weight=parse_format("mxint<8,32>"))
    graph.level = "quantized"
    [fault] = verify(graph)
    assert "weight = mxint<8,32>: the family is mxint, as in mase.linear_mxint" in str(fault)
    with pytest.raises(MaseError, match="the family is mxint"):
        LinearInteger(4, 2, config={"weight": "mxint<8,32>"})


def test_float_formats_give_no_family() -> None:
    assert family_of({"data_in": None}) == "integer"
    assert issubclass(type(with_formats(CASES["relu"].op, {})), QuantizedOp)
