"""Analyses are computed once for each version of the graph, and survive only passes that preserve them."""

from mase.ir import Graph
from mase.passes import Context, Pipeline, register_pass
from mase.passes.instruments import Instrument
from mase.passes.steps import Step

COUNTED: list[int] = []


def node_count(graph: Graph) -> int:
    """Count nodes and remember that it was done."""
    COUNTED.append(len(graph))
    return len(graph)


class Names:
    """The names of the nodes."""

    def __init__(self, graph: Graph) -> None:
        self.all = [node.name for node in graph.nodes]


@register_pass("test-touch")
def touch(graph: Graph, ctx: Context) -> None:
    """Change something."""
    graph.touch()


@register_pass("test-touch-preserving", preserves=(node_count,))
def touch_preserving(graph: Graph, ctx: Context) -> None:
    """Change nothing that counts."""
    graph.touch()


class Ask(Instrument):
    """Asks for the analysis around every pass."""

    def before_pass(self, step: Step, ctx: Context) -> None:
        ctx.analysis(node_count)

    def after_pass(self, step: Step, ctx: Context) -> None:
        ctx.analysis(node_count)


def computed(passes: str) -> int:
    """Give how often the analysis runs around some passes."""
    COUNTED.clear()
    Pipeline(passes).run(Graph(), instruments=[Ask()])
    return len(COUNTED)


def test_cached_while_nothing_changes() -> None:
    ctx = Context(Graph())
    COUNTED.clear()
    assert ctx.analysis(node_count) == ctx.analysis(node_count) == 0
    assert len(COUNTED) == 1
    ctx.graph.touch()
    ctx.analysis(node_count)
    assert len(COUNTED) == 2


def test_dropped_unless_preserved() -> None:
    assert computed("test-touch,test-touch") == 3
    assert computed("test-touch-preserving,test-touch-preserving") == 1


def test_stale_results_are_not_preserved() -> None:
    ctx = Context(Graph())
    ctx.analysis(node_count)
    ctx.graph.touch()
    before = ctx.graph.version
    ctx.graph.touch()
    ctx.analyses.settle([node_count], before)
    COUNTED.clear()
    ctx.analysis(node_count)
    assert COUNTED == [0]


def test_a_class_is_an_analysis() -> None:
    ctx = Context(Graph())
    assert ctx.analysis(Names).all == []
    assert ctx.analysis(Names) is ctx.analysis(Names)
