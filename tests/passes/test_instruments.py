"""Instruments: the order of the hooks, and what each built-in one does."""

from pathlib import Path

import pytest

from mase.ir import Graph, MaseError, parse_type
from mase.ir.files import read_document
from mase.ir.ops import nn
from mase.ir.text import loads
from mase.passes import Context, Instrument, Pipeline, register_pass
from mase.passes.inputs import graph_of
from mase.passes.instruments import CheckNumbers, DumpStages, PrintDiff, PrintIR, Reproducer, Timing
from mase.passes.steps import Step

TEXT = """\
mase = 1
[graph]
outputs = ["y"]
[nodes]
x = { op = "core.input", type = "f32[N,4]" }
y = { op = "nn.relu", in = ["x"], type = "f32[N,4]" }
"""


@register_pass("test-to-tanh")
def to_tanh(graph: Graph, ctx: Context) -> None:
    """Replace relu by tanh."""
    for node in graph.find(nn.Relu):
        node.op = nn.Tanh()


@register_pass("test-look")
def look(graph: Graph, ctx: Context) -> None:
    """Change nothing."""


@register_pass("test-crash")
def crash(graph: Graph, ctx: Context, *, where: str = "early") -> None:
    """Break in one of several ways."""
    graph["y"].op = nn.Tanh()
    if where == "verify":
        graph["x"].type = parse_type("int")
    elif where == "user":
        raise MaseError.of("your mistake")
    else:
        raise ZeroDivisionError("oops")


class Log(Instrument):
    """Writes down what it is told."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines = name, lines

    def before_pass(self, step: Step, ctx: Context) -> None:
        self.lines.append(f"{self.name} before {step.name}")

    def after_pass(self, step: Step, ctx: Context) -> None:
        self.lines.append(f"{self.name} after {step.name}")

    def on_failure(self, step: Step, ctx: Context, error: Exception) -> None:
        self.lines.append(f"{self.name} failed {type(error).__name__}")


def printed(passes: str, make: type[PrintIR] | type[PrintDiff], *args: object, **kwargs: bool) -> list[str]:
    """Give what a printing instrument prints."""
    lines: list[str] = []

    def write(title: str, body: str) -> None:
        lines.append(f"{title}\n{body}")

    Pipeline(passes).run(loads(TEXT), instruments=[make(write, *args, **kwargs)])  # type: ignore[arg-type]
    return lines


def test_hooks_enclose_the_pass() -> None:
    lines: list[str] = []
    logs = [Log("a", lines), Log("b", lines)]
    with pytest.raises(ZeroDivisionError) as caught:
        Pipeline("test-look,test-crash").run(loads(TEXT), instruments=logs)
    assert lines == [
        "a before test-look",
        "b before test-look",
        "b after test-look",
        "a after test-look",
        "a before test-crash",
        "b before test-crash",
        "b failed ZeroDivisionError",
        "a failed ZeroDivisionError",
    ]
    assert caught.value.__notes__ == ["in pass 'test-crash', number 2 of the pipeline"]


def test_timing() -> None:
    timing = Timing()
    with pytest.raises(ZeroDivisionError):
        Pipeline("test-look,test-crash").run(loads(TEXT), instruments=[timing])
    assert [name for name, seconds in timing.seconds if seconds >= 0] == ["test-look", "test-crash"]


def test_print_ir() -> None:
    both = "test-look,test-to-tanh"
    assert len(printed(both, PrintIR)) == 2
    (only,) = printed(both, PrintIR, ["test-to-tanh"])
    (changed,) = printed(both, PrintIR, changed_only=True)
    assert only == changed
    assert only.startswith("after test-to-tanh\nmase = 1\n")
    assert 'op = "nn.tanh"' in only


def test_print_diff() -> None:
    assert printed("test-look,test-to-tanh", PrintDiff) == [
        "test-look changed\nnothing",
        "test-to-tanh changed\n~ y.op: Relu() -> Tanh()",
    ]


def test_every_dump_can_be_resumed(tmp_path: Path) -> None:
    pipeline = Pipeline("test-look,test-to-tanh,dce{weights=false}")
    result = pipeline.run(loads(TEXT), instruments=[DumpStages(tmp_path)])
    stages = sorted(path.name for path in tmp_path.iterdir())
    assert stages == ["00-input", "01-test-look", "02-test-to-tanh", "03-dce"]
    for stage in stages:
        graph = graph_of(read_document(tmp_path / stage / "graph.toml"))
        rest = Pipeline(graph.header.pipeline.pop("passes", []))
        assert len(rest) == 3 - int(stage[:2])
        assert rest.run(graph) == result


@pytest.mark.parametrize("where", ["early", "verify"])
def test_reproducer_reproduces(tmp_path: Path, where: str) -> None:
    reproducer = Reproducer(tmp_path)
    pipeline = f"test-look,test-crash{{where={where}}},dce"
    with pytest.raises((ZeroDivisionError, MaseError)) as first:
        Pipeline(pipeline).run(loads(TEXT), instruments=[reproducer])
    assert reproducer.written is not None
    graph = graph_of(read_document(reproducer.written))
    assert graph.header.pipeline["passes"] == [f'test-crash{{where="{where}"}}']
    with pytest.raises(first.type, match="oops" if where == "early" else "invalid graph"):
        Pipeline(graph.header.pipeline["passes"]).run(graph)


def test_no_reproducer_for_the_users_mistake(tmp_path: Path) -> None:
    reproducer = Reproducer(tmp_path / "absent")
    with pytest.raises(MaseError, match="your mistake"):
        Pipeline("test-crash{where=user}").run(loads(TEXT), instruments=[reproducer])
    assert reproducer.written is None
    assert not (tmp_path / "absent").exists()


def test_check_numbers_asks_only_where_it_must() -> None:
    asked: list[str] = []

    def compare(before: Graph, after: Graph) -> str:
        asked.append(f"{before['y'].op.name} {after['y'].op.name}")
        return "it differs"

    check = CheckNumbers(compare)
    Pipeline("test-look").run(loads(TEXT), instruments=[check])
    assert not asked
    with pytest.raises(MaseError, match="pass 'test-to-tanh' changed the numbers of the graph: it differs"):
        Pipeline("test-to-tanh").run(loads(TEXT), instruments=[check])
    assert asked == ["nn.relu nn.tanh"]


def test_compare_graphs() -> None:
    from mase.passes.numbers import compare_graphs

    before = loads(TEXT)
    after = Pipeline("test-to-tanh").run(before.copy())
    assert compare_graphs(before, before.copy()) is None
    assert "output 0 differs by" in str(compare_graphs(before, after))
