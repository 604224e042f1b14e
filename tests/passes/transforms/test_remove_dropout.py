import torch

from mase.ir import Graph, parse_format
from mase.ir.ops import integer, nn
from mase.ir.ops.attention import Attention
from mase.passes import Context, apply_rewrites
from mase.passes.transforms.remove_dropout import RemoveDropout
from tests.passes.graphs import graph_input, mlp, run


def remove_dropout(graph: Graph) -> Context:
    ctx = Context(graph)
    apply_rewrites(RemoveDropout(), graph, ctx)
    return ctx


def test_dropout_goes_and_evaluation_stays() -> None:
    graph = mlp()
    x = torch.randn(5, 4)
    before = run(graph, x)
    ctx = remove_dropout(graph)
    assert [n.name for n in graph.nodes] == ["x", "fc1", "relu", "fc2"]
    assert ctx.stats[""]["removed"] == 1
    assert torch.equal(run(graph, x), before)


def test_training_computes_what_evaluation_does_afterwards() -> None:
    from mase.runtime.lower import lower

    graph = mlp()
    x = torch.randn(5, 4)
    remove_dropout(graph)
    assert torch.equal(lower(graph).train()(x), run(graph, x))


def test_attention_keeps_its_weights() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,8,4]")
    y = graph.add(Attention(dropout=0.1, causal=True), x, x, x)
    graph.outputs = [y]
    remove_dropout(graph)
    assert y.op == Attention(dropout=0.0, causal=True)


def test_a_dropout_that_is_the_output_or_follows_another() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    graph.outputs = [graph.add(nn.Dropout(), graph.add(nn.Dropout(), x)), x]
    remove_dropout(graph)
    assert [n.name for n in graph.nodes] == ["x"]
    assert graph.outputs == [x, x]


def test_quantized_and_empty_graphs() -> None:
    graph = mlp()
    fixed = parse_format("fixed<8,4>")
    graph["fc1"].op = integer.LinearInteger(data_in=fixed, weight=fixed, bias=fixed)
    graph.level = "quantized"
    remove_dropout(graph)
    assert "drop" not in graph
    empty = Graph()
    remove_dropout(empty)
    assert len(empty) == 0
