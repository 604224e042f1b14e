import torch

from mase.ir import Graph, Template, parse_format, parse_type
from mase.ir.ops import integer, nn
from mase.ir.ops.torch import Call
from mase.passes import Context
from mase.passes.transforms.dce import dce
from tests.passes.graphs import graph_input, layer, mlp, run


def call(target: str, type: str = "f32[N,4]") -> Call:
    return Call(target=target, args=Template.parse("(%0,)"), returns=parse_type(type))


def test_a_dead_chain_goes_with_its_weights() -> None:
    graph = mlp()
    dead = layer(graph, nn.Linear(), graph["fc1"], scope="dead", weight=torch.ones(2, 8))
    graph.add(nn.Relu(), dead, name="dead_relu")
    before = [n.name for n in graph.nodes if "dead" not in n.name]
    ctx = Context(graph)
    dce(graph, ctx)
    assert [n.name for n in graph.nodes] == before
    assert "dead.weight" not in graph.state
    assert dict(ctx.stats[""]) == {"erased": 2, "weights forgotten": 1}


def test_what_is_live_computes_the_same() -> None:
    graph = mlp()
    x = torch.randn(5, 4)
    before = run(graph, x)
    graph.add(nn.Gelu(), graph["fc1"])
    dce(graph, Context(graph))
    assert torch.equal(run(graph, x), before)


def test_weights_in_use_elsewhere_stay() -> None:
    graph = mlp()
    key = {"weight": "fc1.weight"}
    graph.add(nn.Linear(), graph["x"], params=key)
    graph.state.alias("tied.weight", "fc2.weight")
    graph.add(nn.Linear(), graph["fc1"], params={"weight": "tied.weight"})
    dce(graph, Context(graph))
    assert len(graph) == 5
    assert {"fc1.weight", "fc2.weight"} <= set(graph.state)


def test_weights_can_be_kept() -> None:
    graph = mlp()
    layer(graph, nn.Linear(), graph["x"], scope="dead", weight=torch.ones(2, 4))
    dce(graph, Context(graph), weights=False)
    assert "dead" not in graph
    assert "dead.weight" in graph.state


def test_effects_and_inputs_stay() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    graph_input(graph, "f32[N]", "unused")
    added = graph.add(call("aten.relu_.default"), x)
    graph.outputs = [x]
    dce(graph, Context(graph))
    assert [n.name for n in graph.nodes] == ["x", "unused", added.name]


def test_quantized_and_empty_graphs() -> None:
    graph = mlp()
    dead = graph.add(integer.ReluInteger(data_in=parse_format("fixed<8,4>")), graph["fc1"])
    graph.level = "quantized"
    dce(graph, Context(graph))
    assert dead.name not in graph
    empty = Graph()
    dce(empty, Context(empty))
    assert len(empty) == 0
