"""Pipelines: the grammar, precedence of options, checks before the run, and the run itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import Graph, MaseError, UsageError, parse_type
from mase.ir.ops import nn
from mase.ir.text import loads
from mase.passes import Context, Pipeline, register_pass
from mase.passes.grammar import Call, parse_pipeline, parse_value, print_pipeline, print_value

RECIPE = """\
mase = 1
[passes.test-scale]
factor = 3.0
label = "table"
[graph]
outputs = ["y"]
[nodes]
x = { op = "core.input", type = "f32[N,4]" }
y = { op = "nn.relu", in = ["x"], type = "f32[N,4]" }
"""

SEEN: list[tuple[float, str]] = []


@register_pass("test-scale")
def scale(graph: Graph, ctx: Context, *, factor: float = 1.0, label: str = "default") -> None:
    """Remember the options."""
    SEEN.append((factor, label))


@register_pass("test-break")
def break_graph(graph: Graph, ctx: Context) -> None:
    """Leave a node whose operand is of the wrong type."""
    graph["x"].type = parse_type("int")


@register_pass("test-fail")
def fail(graph: Graph, ctx: Context) -> None:
    """Change the graph, then fail."""
    graph.add(nn.Relu(), graph["x"])
    raise MaseError.of("cannot do it")


@register_pass("test-lower", ensures="quantized")
def lower_level(graph: Graph, ctx: Context, *, really: bool = True) -> None:
    """Make the graph quantized, or only say so."""
    graph.level = "quantized" if really else graph.level


@register_pass("test-float-only", requires=("float",))
def float_only(graph: Graph, ctx: Context) -> None:
    """Take float graphs."""


@register_pass("test-data", needs_data=True)
def use_data(graph: Graph, ctx: Context) -> None:
    """Need data."""


@contextmanager
def fails(*fragments: str, kind: type[MaseError] = MaseError) -> Iterator[None]:
    """Expect an error whose text holds every fragment."""
    with pytest.raises(kind) as caught:
        yield
    for fragment in fragments:
        assert fragment in str(caught.value)


# ------------------------------------------------------------------------------------------------- grammar

NAMES = st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"))
SCALARS = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS | TEXTS, inner), max_leaves=8
)
CALLS = st.builds(Call, NAMES, st.dictionaries(KEYS, VALUES, max_size=3))


def test_all_of_the_grammar() -> None:
    text = """ a { x=1 y="s", z=[1, 2.5,] t={k="v" "odd key"={}, } b=true f=fixed<8,4> w='\\d' }, b,c{} """
    a, b, c = parse_pipeline(text)
    assert a.options == {
        "x": 1,
        "y": "s",
        "z": [1, 2.5],
        "t": {"k": "v", "odd key": {}},
        "b": True,
        "f": "fixed<8,4>",
        "w": "\\d",
    }
    assert (b, c) == (Call("b"), Call("c"))
    assert str(a) == ('a{x=1 y="s" z=[1, 2.5] t={k = "v", "odd key" = {}} b=true f="fixed<8,4>" w="\\\\d"}')


@given(st.lists(CALLS))
def test_pipeline_round_trip(calls: list[Call]) -> None:
    text = print_pipeline(calls)
    assert parse_pipeline(text) == calls
    assert print_pipeline(parse_pipeline(text)) == text


@given(VALUES)
def test_values_print_as_toml(value: object) -> None:
    import tomllib

    assert tomllib.loads(f"v = {print_value(value)}")["v"] == value


@pytest.mark.parametrize("text", ["", "  ", "# nothing\n"])
def test_blank_is_no_pass(text: str) -> None:
    assert parse_pipeline(text) == []


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a{x 1}", 4, "expected '=' after option 'x'"),
        ("a{x=}", 4, "expected a value"),
        ("a{x=1", 5, "expected an option"),
        ("a,,b", 2, "expected the name of a pass"),
        ("a b", 2, "unexpected 'b'"),
        ("a{x=1 x=2}", 6, "option 'x' is given twice"),
        ('a{x="\\q"}', 4, "bad escape"),
        ("a{x=[1 2]}", 7, "expected ',' or ']'"),
        ("a{x=1}}", 6, "unexpected '}'"),
        ("a{x=1.2.3}", 4, "expected a value"),
    ],
)
def test_errors_point_at_the_place(text: str, column: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pipeline(text)
    first, line, caret = caught.value.diagnostics[0].message.splitlines()
    assert message in first
    assert line == f"    {text}"
    assert caret.index("^") - 4 == column


def test_error_shows_the_line_of_many() -> None:
    with fails("    b{y}\n       ^", kind=UsageError):
        parse_pipeline("a,\nb{y}\n,c")


@given(st.text())
def test_garbage_is_a_usage_error(text: str) -> None:
    for parse in (parse_pipeline, parse_value):
        try:
            parse(text)
        except UsageError as error:
            assert "^" in str(error)  # noqa: PT017


# ----------------------------------------------------------------------------------------------- precedence


def options_of_run(text: str, **table: Any) -> tuple[float, str]:
    """Give the options that the pass sees."""
    graph = loads(RECIPE)
    graph.header.passes["test-scale"].update(table)
    Pipeline(text).run(graph)
    return SEEN[-1]


def test_precedence() -> None:
    assert options_of_run("test-scale") == (3.0, "table")
    assert options_of_run("test-scale{factor=4}") == (4.0, "table")
    assert options_of_run("test-scale", factor=5.0) == (5.0, "table")
    Pipeline("test-scale").run(Graph())
    assert SEEN[-1] == (1.0, "default")


def test_history_says_what_ran() -> None:
    graph = Pipeline("test-scale{factor=4},dce").run(loads(RECIPE))
    assert graph.header.history == ['test-scale{factor=4 label="table"}', "dce"]
    again = Pipeline(graph.header.history)
    assert str(again) == 'test-scale{factor=4 label="table"},dce'


# ------------------------------------------------------------------------------------------- before the run


def test_every_problem_of_a_pipeline_at_once() -> None:
    with fails("unknown pass 'dca'", "unknown option 'fctor'", "did you mean 'factor'?", kind=UsageError):
        Pipeline("dca,test-scale{fctor=1}").run(loads(RECIPE))


def test_problem_of_a_table_is_no_usage_error() -> None:
    graph = loads(RECIPE)
    graph.header.passes["test-scale"]["label"] = 3
    with fails("[passes.test-scale]: option 'label': expected a string, found 3") as _:
        Pipeline("test-scale").run(graph)
    with pytest.raises(MaseError) as caught:
        Pipeline("test-scale").run(graph)
    assert not isinstance(caught.value, UsageError)


def test_levels_are_checked_before_anything_runs() -> None:
    count = len(SEEN)
    with fails(
        "'test-lower' before it leaves a graph at level quantized",
        "run 'test-float-only' before 'test-lower'",
    ):
        Pipeline("test-scale,test-lower,test-float-only").run(loads(RECIPE))
    assert len(SEEN) == count


def test_level_of_the_input() -> None:
    with fails("takes graphs at level float, but the graph is quantized"):
        Pipeline("test-float-only").run(Graph(level="quantized"))


def test_missing_data_is_found_before_the_run() -> None:
    with fails("pass 'test-data' needs a data set", "[data] source"):
        Pipeline("test-data").run(loads(RECIPE))


def test_bad_data_is_found_before_the_run() -> None:
    graph = loads(RECIPE)
    graph.header.data = {"source": "digitz"}
    count = len(SEEN)
    with fails("unknown data set 'digitz'", "did you mean 'digits'?"):
        Pipeline("test-scale,test-data").run(graph)
    assert len(SEEN) == count


# -------------------------------------------------------------------------------------------------- the run


def test_failure_loses_nothing() -> None:
    graph = loads(RECIPE)
    with fails("cannot do it"):
        Pipeline("test-fail").run(graph)
    assert graph == loads(RECIPE)


def test_the_verifier_runs_after_every_pass() -> None:
    with fails("pass 'test-break' left an invalid graph", "test_pipeline.py:", "in: node 'y'"):
        Pipeline("test-break,test-scale").run(loads(RECIPE))


def test_a_pass_keeps_its_promise_of_a_level() -> None:
    assert Pipeline("test-lower").run(loads(RECIPE)).level == "quantized"
    graph = loads(RECIPE)
    with fails("the graph is float, not quantized as the pass promises"):
        Pipeline("test-lower{really=false},test-break").run(graph)


def test_an_invalid_graph_does_not_start() -> None:
    graph = loads(RECIPE)
    graph["x"].type = parse_type("int")
    with fails("node 'y'"):
        Pipeline("dce").run(graph)


def test_warnings_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @register_pass("test-warn")
    def warn(graph: Graph, ctx: Context) -> None:
        """Warn."""
        ctx.warn("look here", graph["y"], help="do it")
        ctx.note("by the way")

    Pipeline("test-warn").run(loads(RECIPE))
    assert [record.getMessage() for record in caplog.records] == [
        "warning: test-warn: look here\n  in: node 'y'\n  help: do it"
    ]


def test_a_run_is_in_place_and_an_empty_one_changes_nothing() -> None:
    graph = loads(RECIPE)
    assert Pipeline("").run(graph) is graph
    assert graph == loads(RECIPE)
    assert Pipeline("test-lower").run(graph) is graph
    assert graph.level == "quantized"


def test_after_a_failure_the_graph_is_as_before() -> None:
    graph = loads(RECIPE)
    with fails("cannot do it"):
        Pipeline("test-lower,test-fail").run(graph)
    assert graph == loads(RECIPE)
    assert all(node.graph is graph for node in graph.nodes)
