import pytest
import torch

from mase.ir import Graph, Location, MaseError, parse_format, parse_type
from mase.ir.ops import integer, nn, tensor
from mase.passes import Context
from mase.passes.analyses.annotate_types import annotate_types
from tests.passes.graphs import graph_input, layer, lenet5, mlp


def types(graph: Graph) -> list[str]:
    return [str(node.type) for node in graph.nodes]


def test_types_follow_the_input() -> None:
    graph = mlp()
    graph["x"].type = parse_type("f32[N,T,4]")
    ctx = Context(graph)
    annotate_types(graph, ctx)
    assert types(graph) == ["f32[N,T,4]", "f32[N,T,8]", "f32[N,T,8]", "f32[N,T,8]", "f32[N,T,3]"]
    assert ctx.stats[""]["changed"] == 4


def test_right_types_stay_and_the_version_with_them() -> None:
    graph = lenet5()
    before, version = types(graph), graph.version
    annotate_types(graph, Context(graph))
    assert (types(graph), graph.version) == (before, version)


def test_every_contradiction_is_named_with_the_users_line() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    a = layer(graph, nn.Linear(), x, scope="a", weight=torch.ones(3, 4))
    b = layer(graph, nn.Linear(), x, scope="b", weight=torch.ones(2, 4))
    a.loc, b.loc = Location("net.py", 7), Location("net.py", 8)
    x.type = parse_type("f32[N,5]")
    with pytest.raises(MaseError) as error:
        annotate_types(graph, Context(graph))
    assert [(d.node, str(d.source)) for d in error.value.diagnostics] == [
        ("a", "net.py:7"),
        ("b", "net.py:8"),
    ]
    assert "features of data_in: expected 4, found 5" in str(error.value)
    assert "%x: f32[N,5]" in str(error.value)


def test_a_missing_weight_is_an_error() -> None:
    graph = mlp()
    del graph.state["fc1.bias"]
    with pytest.raises(MaseError, match=r"no weight 'fc1\.bias'"):
        annotate_types(graph, Context(graph))


def test_quantized_ops_have_the_types_of_their_float_ops() -> None:
    graph = mlp()
    fixed = parse_format("fixed<8,4>")
    graph["fc1"].op = integer.LinearInteger(data_in=fixed, weight=fixed, bias=fixed)
    before = types(graph)
    annotate_types(graph, Context(graph))
    assert types(graph) == before


def test_calls_keep_the_type_that_capture_saw() -> None:
    from mase.ir import Template
    from mase.ir.ops.torch import Call

    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    call = Call(target="aten.sin.default", args=Template.parse("(%0,)"), returns=parse_type("f32[N,4]"))
    y = graph.add(call, x)
    graph.add(tensor.Flatten(), y)
    annotate_types(graph, Context(graph))
    assert str(y.type) == "f32[N,4]"


def test_empty_graph() -> None:
    annotate_types(Graph(), Context(Graph()))
