"""The rewriter keeps what users know nodes by, and rewrites run until nothing changes."""

import pytest

from mase.ir import Graph, Location, MaseError, Node, Op, parse_type, register_annotation
from mase.ir.ops import core, nn
from mase.passes import Context, Pipeline, Rewriter, register_pass, rewrite
from tests.opt.dialect import Probe

F32 = parse_type("f32[N,4]")


@register_annotation("test.mark")
class Mark:
    """A mark."""

    text: str


def chain(*ops: Op) -> Graph:
    """Give a graph in which each op takes the one before."""
    graph = Graph()
    node = graph.add(core.Input(), type=F32, name="x")
    for op in ops:
        node = graph.add(op, node, scope=f"s{len(graph)}", loc=Location("model.py", len(graph)))
    graph.outputs = [node]
    return graph


def rewriter(graph: Graph) -> Rewriter:
    """Give a rewriter outside any pass."""
    return Rewriter(graph, Context(graph))


@register_pass("test-relu-pairs")
class ReluPairs:
    """Merge pairs of relu."""

    only: str = ""

    @rewrite(nn.Relu)
    def merge(self, node: Node, rewriter: Rewriter) -> None:
        before = node.inputs[0]
        if not isinstance(before.op, nn.Relu):
            rewriter.reject(node, f"its operand is {before.op.name}")
        elif node.name.startswith(self.only):
            rewriter.forward(node, before)
            rewriter.ctx.stat("merged")


@register_pass("test-flip")
class Flip:
    """Never come to an end."""

    @rewrite(nn.Relu)
    def to_tanh(self, node: Node, rewriter: Rewriter) -> None:
        rewriter.replace(node, nn.Tanh())

    @rewrite(nn.Tanh)
    def to_relu(self, node: Node, rewriter: Rewriter) -> None:
        rewriter.replace(node, nn.Relu())


def test_replace_keeps_everything_else() -> None:
    graph = chain(nn.Relu(), nn.Tanh())
    node, user = graph["relu"], graph["tanh"]
    node.meta.set(Mark(text="kept"))
    rewriter(graph).replace(node, nn.Sigmoid())
    assert graph["relu"] is node
    assert isinstance(node.op, nn.Sigmoid)
    assert (node.scope, str(node.loc), node.meta[Mark].text) == ("s1", "model.py:1", "kept")
    assert node.users == (user,)


@pytest.mark.parametrize("op", [Probe(returns=parse_type("f32[N,5]")), nn.Linear()])
def test_replace_that_does_not_fit_changes_nothing(op: Op) -> None:
    graph = chain(nn.Relu(), nn.Tanh())
    with pytest.raises(MaseError, match=r"cannot replace nn.relu by .*\n  in: node 'relu', from model.py:1"):
        rewriter(graph).replace(graph["relu"], op)
    assert graph == chain(nn.Relu(), nn.Tanh())


def test_inserted_nodes_belong_to_the_scope() -> None:
    graph = chain(nn.Relu())
    node = graph["relu"]
    verbs = rewriter(graph)
    before = verbs.insert_before(node, nn.Tanh(), *node.inputs)
    after = verbs.insert_after(node, nn.Sigmoid(), node)
    assert [n.name for n in graph.nodes] == ["x", "tanh", "relu", "sigmoid"]
    assert before.scope == after.scope == "s1"
    assert before.loc == after.loc == node.loc


def test_forward_and_erase() -> None:
    graph = chain(nn.Relu(), nn.Tanh())
    verbs = rewriter(graph)
    verbs.forward(graph["tanh"], graph["relu"])
    assert [n.name for n in graph.outputs] == ["relu"]
    with pytest.raises(ValueError, match="cannot erase 'relu'"):
        verbs.erase(graph["relu"])


def test_rewrites_reach_a_fixed_point() -> None:
    ctx = Context(chain(*[nn.Relu()] * 5))
    Pipeline("test-relu-pairs").run_in(ctx)
    assert [n.name for n in ctx.graph.nodes] == ["x", "relu"]
    assert ctx.stats["test-relu-pairs"]["merged"] == 4


def test_fields_are_options() -> None:
    result = Pipeline("test-relu-pairs{only=relu_2}").run(chain(*[nn.Relu()] * 3))
    assert [n.name for n in result.nodes] == ["x", "relu", "relu_1"]


def test_only_the_last_word_on_a_node_counts() -> None:
    ctx = Context(chain(nn.Relu(), nn.Relu()))
    Pipeline("test-relu-pairs").run_in(ctx)
    assert [(key, d.message) for key, d in ctx.rejected.items()] == [
        (("test-relu-pairs", "relu"), "test-relu-pairs: its operand is core.input")
    ]


def test_endless_rewrites_are_stopped() -> None:
    with pytest.raises(MaseError, match="Flip still changes the graph after 100 sweeps"):
        Pipeline("test-flip").run(chain(nn.Relu()))
