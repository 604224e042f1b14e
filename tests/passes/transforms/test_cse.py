import pytest
import torch

from mase.ir import Graph, Op, Template, parse_format, parse_type
from mase.ir.ops import integer, nn, norm, tensor
from mase.ir.ops.attention import Attention
from mase.ir.ops.torch import Call, Module
from mase.passes import Context
from mase.passes.transforms.cse import cse
from tests.passes.graphs import graph_input, layer, mlp, run

TYPE = parse_type("f32[N,4]")
FIXED = parse_format("fixed<8,4>")


def call(target: str) -> Call:
    return Call(target=target, args=Template.parse("(%0,)"), returns=TYPE)


def twice(op: Op) -> Graph:
    """``op(x) + op(x)``."""
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    inputs = (x, x, x) if isinstance(op, Attention) else (x,)
    a, b = graph.add(op, *inputs, name="a"), graph.add(op, *inputs, name="b")
    graph.outputs = [graph.add(tensor.Add(), a, b, name="sum")]
    return graph


@pytest.mark.parametrize(
    "op", [nn.Relu(), call("aten.sin.default"), integer.ReluInteger(data_in=FIXED)], ids=str
)
def test_equal_nodes_become_one(op: Op) -> None:
    graph = twice(op)
    cse(graph, Context(graph))
    assert [n.name for n in graph.nodes] == ["x", "a", "sum"]
    assert graph["sum"].inputs == (graph["a"], graph["a"])


@pytest.mark.parametrize(
    "op",
    [
        nn.Dropout(p=0.5),
        norm.BatchNorm(),
        integer.BatchNormInteger(data_in=FIXED),
        Attention(dropout=0.1),
        call("aten.bernoulli.default"),
        call("aten.relu_.default"),
        Module(cls="user.Noise", args=Template.parse("(%0,)"), returns=TYPE),
    ],
    ids=str,
)
def test_what_training_may_compute_differently_stays_apart(op: Op) -> None:
    graph = twice(op)
    cse(graph, Context(graph))
    assert len(graph) == 4


def test_attributes_operands_and_weights_must_agree() -> None:
    graph = Graph()
    x, y = graph_input(graph, "f32[N,4]"), graph_input(graph, "f32[N,4]", "y")
    nodes = [
        graph.add(nn.Softmax(dim=-1), x),
        graph.add(nn.Softmax(dim=0), x),
        graph.add(nn.Softmax(dim=-1), y),
        layer(graph, nn.Linear(), x, scope="a", weight=torch.ones(4, 4)),
        layer(graph, nn.Linear(), x, scope="b", weight=torch.ones(4, 4)),
        graph.add(tensor.Sub(), x, y),
        graph.add(tensor.Sub(), y, x),
    ]
    graph.outputs = nodes
    cse(graph, Context(graph))
    assert graph.outputs == nodes


def test_a_module_called_twice_on_the_same_value_is_called_once() -> None:
    graph = mlp()
    x = torch.randn(5, 4)
    fc1 = graph["fc1"]
    graph.state.alias("same.weight", "fc1.weight")
    with graph.inserting_after(fc1):
        roles = {"weight": "same.weight", "bias": "fc1.bias"}
        again = graph.add(nn.Linear(), graph["x"], params=roles, scope="fc1")
        summed = graph.add(tensor.Add(), fc1, again)
    graph["relu"].inputs = [summed]
    before = run(graph, x)
    cse(graph, Context(graph))
    assert again.name not in graph
    assert torch.equal(run(graph, x), before)


def test_merging_cascades() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    ends = [graph.add(nn.Tanh(), graph.add(nn.Relu(), x)) for _ in range(3)]
    graph.outputs = ends
    cse(graph, Context(graph))
    assert len(graph) == 3
    assert {n.name for n in graph.outputs} == {ends[0].name}


def test_nothing_merges_across_an_in_place_call() -> None:
    """``sin(x)`` before and after ``x`` was overwritten are two numbers, and a copy must stay a copy."""
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    a = graph.add(call("aten.sin.default"), x, name="a")
    kept = graph.add(call("aten.sin.default"), x, name="kept")
    overwritten = graph.add(call("aten.relu_.default"), kept, name="overwritten")
    graph.add(call("aten.neg_.default"), x, name="x_overwritten")
    after = graph.add(call("aten.sin.default"), x, name="after")
    graph.outputs = [a, overwritten, after]
    cse(graph, Context(graph))
    assert [n.name for n in graph.nodes] == ["x", "a", "kept", "overwritten", "x_overwritten", "after"]


def test_empty_graph() -> None:
    graph = Graph()
    cse(graph, Context(graph))
    assert len(graph) == 0
