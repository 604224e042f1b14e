"""Lowering of graphs written by hand: where modules live, what calls become."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mase.ir import (
    Graph,
    MaseError,
    Node,
    parse_format,
    parse_type,
)
from mase.ir.ops import conv, core, integer, norm, pool, tensor
from mase.ir.ops import nn as nn_ops
from mase.ir.ops import torch as torch_ops
from mase.ir.template import Template
from mase.runtime.lower import lower
from tests.runtime.lowering_graphs import call, graph_of, run


def test_keys_that_no_node_uses_are_there_with_their_kind() -> None:
    graph, x = graph_of(a__weight=torch.ones(2), a__b__c=torch.ones(3), top=torch.arange(3))
    for key, kind in (("f", "frozen"), ("deep.buffer", "buffer"), ("const", "constant")):
        graph.state.declare(key, parse_type("f32[2]"), kind)  # type: ignore[arg-type]
        graph.state[key] = torch.ones(2)
    graph.outputs = [x]
    module = lower(graph)
    assert list(module.state_dict()) == ["top", "f", "a.weight", "a.b.c", "deep.buffer"]
    trainable = {key: p.requires_grad for key, p in module.named_parameters()}
    assert trainable == {"a.weight": True, "a.b.c": True, "top": False, "f": False}
    assert [key for key, _ in module.named_buffers()] == ["const", "deep.buffer"]


def test_weights_under_foreign_names_are_borrowed() -> None:
    weight, bias = torch.randn(3, 4), torch.randn(3)
    graph, x = graph_of(attn__in_proj_weight=weight, attn__in_proj_bias=bias, attn__out__weight=torch.eye(4))
    params = {"weight": "attn.in_proj_weight", "bias": "attn.in_proj_bias"}
    y = graph.add(nn_ops.Linear(), x, params=params, scope="attn")
    z = graph.add(nn_ops.Linear(), x, params={"weight": "attn.out.weight"}, scope="attn")
    graph.outputs = [y, z]
    module: Any = lower(graph)
    assert set(module.state_dict()) == set(graph.state)
    a, b = module(torch.ones(2, 4))
    assert torch.equal(a, nn.functional.linear(torch.ones(2, 4), weight, bias))
    assert torch.equal(b, torch.ones(2, 4))
    assert type(module.attn.out) is nn.Linear  # found by its keys, though the scope is another
    a.sum().backward()
    assert module.attn.in_proj_weight.grad is not None


def test_root_parameters_and_one_module_model() -> None:
    graph, x = graph_of(weight=torch.eye(4), bias=torch.ones(4))
    y = graph.add(nn_ops.Linear(), x, params={"weight": "weight", "bias": "bias"})
    graph.outputs = [y]
    module = lower(graph)
    assert list(module.state_dict()) == ["weight", "bias"]
    assert module(torch.zeros(1, 4)).tolist() == [[1] * 4]


def test_units_without_parameters_get_places_of_their_own() -> None:
    graph, x = graph_of(enc__fc__weight=torch.eye(4))
    y = graph.add(nn_ops.Linear(), x, params={"weight": "enc.fc.weight"}, scope="enc.fc")
    for scope in ("enc", "enc", "drop", "", "act"):
        y = graph.add(nn_ops.Dropout(p=0.5), y, scope=scope)
    graph.add(nn_ops.Dropout(p=0.1), y, scope="act")
    graph.outputs = [y]
    module = lower(graph)
    places = [n.target for n in module.graph.nodes if n.op == "call_module"]
    assert places == [
        "enc.fc",
        *("enc.mase_dropout_0", "enc.mase_dropout_1", "drop", "mase_dropout_0", "act.mase_dropout_0"),
        "act.mase_dropout_1",
    ]


def test_a_module_called_in_two_ways_shares_its_weights() -> None:
    graph, x = graph_of(fc__weight=torch.randn(4, 4))
    formats = [
        {"data_in": parse_format(f), "weight": parse_format("fixed<8,4>")}
        for f in ("fixed<8,4>", "fixed<8,2>")
    ]
    first, twin, other = (
        graph.add(integer.LinearInteger(**f), x, params={"weight": "fc.weight"}, scope="fc")
        for f in (formats[0], formats[0], formats[1])
    )
    graph.outputs = [first, twin, other]
    module = lower(graph)
    targets = [n.target for n in module.graph.nodes if n.op == "call_module"]
    assert targets == ["fc", "fc", "fc.mase_linear_integer_0"]
    assert list(module.state_dict()) == ["fc.weight"]
    a, b, c = module(torch.full((1, 4), 0.2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_fx_names_are_the_nodes_names_even_those_of_builtins() -> None:
    graph, x = graph_of(w=torch.ones(4))
    value: Node = x
    for name in ("input", "max", "getattr", "torch", "self", "return", "getitem", "output", "w"):
        value = graph.add(tensor.Transpose(dim0=0, dim1=1), value, name=name)
        value = graph.add(tensor.Transpose(dim0=0, dim1=1), value, name=name)
    zeros = call(graph, "aten.zeros.default", "([2],)", type="f32[2]")
    w = graph.add(core.Parameter(), params={"value": "w"}, name="w_value")
    graph.outputs = [value, zeros, w]
    module = lower(graph)
    names = {n.meta["mase"]: n.name for n in module.graph.nodes if "mase" in n.meta}
    assert list(names) == [n.name for n in graph.nodes]
    assert {name for name, found in names.items() if name != found} == {
        "self"
    }  # fx's own name for the module
    assert torch.equal(module(torch.ones(3, 4))[0], torch.ones(3, 4))
    module.recompile()
    assert torch.equal(module(torch.ones(3, 4))[0], torch.ones(3, 4))


def test_tensors_made_inside_follow_the_input() -> None:
    graph, x = graph_of()
    zeros = call(
        graph, "aten.zeros.default", "([2],)", kwargs="{'device': 'cuda:3', 'dtype': f16}", type="f16[2]"
    )
    ones = call(graph, "torch.ones", "(2,)", type="f32[2]")
    like = call(graph, "aten.full_like.default", "(%0, 2)", x)
    moved = call(graph, "aten._to_copy.default", "(%0,)", x, kwargs="{'dtype': f64, 'device': 'cpu'}")
    graph.outputs = [zeros, ones, like, moved]
    module = lower(graph)
    for device in ("cpu", "meta"):
        results = module(torch.ones(1, 4, device=device))
        assert [r.device.type for r in results] == [device] * 4
    assert [r.dtype for r in results] == [torch.float16, torch.float32, torch.float32, torch.float64]


def test_calls_of_every_kind() -> None:
    graph, x = graph_of()
    size = graph.add(
        torch_ops.Call(target="aten.sym_size.int", args=Template.parse("(%0, 0)"), returns=parse_type("int")),
        x,
    )
    double = graph.add(
        torch_ops.Call(target="operator.mul", args=Template.parse("(%0, 2)"), returns=parse_type("int")), size
    )
    view = call(graph, "torch.Tensor.view", "(%0, %1, -1)", x, double)
    part = call(graph, "operator.getitem", "(%0, (slice(None, 1, None), slice(0, %1, 2)))", view, size)
    kinds = call(graph, "torch.cat", "([%0, %0],)", part, kwargs="{'dim': 0}")
    where = call(graph, "torch.nn.functional.softplus", "(%0,)", kinds)
    floor = call(graph, "math.floor", "(2.5,)", type="int")
    graph.outputs = [where, floor]
    x_value = torch.randn(2, 4)
    result, number = lower(graph)(x_value)
    half = x_value.view(4, -1)[:1, 0:2:2]
    assert torch.equal(result, nn.functional.softplus(torch.cat([half, half])))
    assert number == 2


def test_asymmetric_padding_that_no_constructor_knows() -> None:
    graph = Graph()
    graph.state["c.weight"] = torch.randn(2, 3, 3)
    x = graph.add(core.Input(), type=parse_type("f32[N,3,8]"), name="x")
    nodes = [
        graph.add(
            conv.Conv1d(padding=((0, 2),), padding_mode=mode), x, params={"weight": "c.weight"}, scope="c"
        )
        for mode in ("zeros", "replicate")
    ]
    value = torch.randn(2, 3, 8)
    found = run(graph, value, outputs=nodes)
    for result, mode in zip(found, ("constant", "replicate"), strict=True):
        padded = nn.functional.pad(value, (0, 2), mode=mode)
        assert torch.equal(result, nn.functional.conv1d(padded, graph.state["c.weight"]))


def test_batch_norm_and_pools_of_hand_written_graphs() -> None:
    graph = Graph()
    graph.state["bn.weight"] = torch.rand(3)
    x = graph.add(core.Input(), type=parse_type("f32[N,3,8]"), name="x")
    y = graph.add(norm.BatchNorm(), x, params={"weight": "bn.weight"}, scope="bn")
    y = graph.add(pool.AvgPool1d(kernel=(2,), stride=(2,)), y)
    value = torch.randn(2, 3, 8)
    expected = nn.functional.avg_pool1d(
        nn.functional.batch_norm(value, None, None, graph.state["bn.weight"], training=True), 2
    )
    assert torch.equal(run(graph, value, outputs=[y]), expected)


def test_names_that_fx_needs_itself_are_refused() -> None:
    graph, x = graph_of(graph__weight=torch.ones(1))
    graph.outputs = [x]
    with pytest.raises(MaseError, match="keeps the name 'graph' for itself"):
        lower(graph)
