"""graph.toml round-trips, for hand-made and for random graphs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import (
    Fixed,
    Graph,
    Location,
    MaseError,
    Record,
    Template,
    parse_format,
    parse_type,
    register_annotation,
    symbol,
)
from mase.ir.diff import diff
from mase.ir.op import Op
from mase.ir.ops import conv, core, integer, nn, pool, tensor, torch
from mase.ir.text import dumps, loads, parse_document


@register_annotation("test.hint")
class Hint:
    """An annotation with a field of each kind."""

    text: str
    weight: float = 0.5
    bounds: tuple[float, ...] = ()
    format: Fixed | None = None


def mlp() -> Graph:
    """Two linear layers, the second quantized."""
    g = Graph("mlp", level="quantized")
    for key, shape in (("a.weight", "[8,4]"), ("a.bias", "[8]"), ("b.weight", "[3,8]")):
        t = parse_type(f"f32{shape}")
        assert not isinstance(t, str)
        g.state.declare(key, t)  # type: ignore[arg-type]
    x = g.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
    a = g.add(
        nn.Linear(),
        x,
        params={"weight": "a.weight", "bias": "a.bias"},
        name="a",
        scope="a",
        loc=Location("m.py", 3),
    )
    r = g.add(integer.ReluInteger(data_in=parse_format("fixed<8,4>")), a, name="r")
    b = g.add(
        integer.LinearInteger(
            data_in=parse_format("ufixed<8,4,half_up>"), weight=parse_format("fixed<4,3,narrow>")
        ),
        r,
        params={"weight": "b.weight"},
        name="b",
        scope="b",
    )
    b.meta.set(Hint(text='say "hi"\n', weight=1, bounds=(1.0, float("inf")), format=Fixed(4, 3)))
    g.outputs = [b]
    g.header.model = {"source": "zoo:toy", "args": {"hidden": 8}}
    g.header.passes = {
        "train": {},
        "quantize": {"default": {"data_in": "fixed<8,4>"}, "rules": [{"op": "nn.linear"}]},
    }
    g.header.extra = {"title": "mine", "lab": {"run": 3, "deep": {"x": [1, {"y": 2.0}]}}}
    g.header.history = ["quantize{width=8}"]
    return g


def test_round_trip() -> None:
    g = mlp()
    text = dumps(g)
    again = loads(text)
    assert diff(g, again) == []
    assert again == g
    assert dumps(again) == text


def test_foreign_annotations_and_tables_survive() -> None:
    text = dumps(mlp()).replace('"test.hint"', '"plugin.absent"')
    assert "plugin.absent" in text
    assert dumps(loads(text)) == text


def test_long_nodes_become_dotted_keys() -> None:
    lines = dumps(mlp()).splitlines()
    assert any(line.startswith("b.op = ") for line in lines)
    assert all(len(line) < 200 for line in lines)


def test_structure_and_templates() -> None:
    g = Graph()
    x = g.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
    call = torch.Call(
        target="aten.view.default",
        args=Template.parse("(%0, [-1, 2], None, slice(0, %1, None))"),
        returns=parse_type("f32[2*N,2]"),
    )
    n = g.add(
        torch.Call(target="aten.sym_size.int", args=Template.parse("(%0, 0)"), returns=parse_type("int(N)")),
        x,
    )
    v = g.add(call, x, n)
    g.outputs = [v, x]
    g.structure = Template.of(
        {"logits": Record("a.b.Out", (("x", Template.parse("%0").value),)), "k": [Template.parse("%1").value]}
    )
    assert loads(dumps(g)) == g
    assert str(loads(dumps(g)).structure) == "{'logits': a.b.Out(x=%0), 'k': [%1]}"


def test_aliases_and_kinds() -> None:
    g = Graph()
    g.state.declare("w", parse_type("f32[2,2]"), "frozen")  # type: ignore[arg-type]
    g.state.declare("b", parse_type("i64[]"), "buffer")  # type: ignore[arg-type]
    g.state.alias("tied", "w")
    again = loads(dumps(g))
    assert again.state == g.state
    assert again.state.entry("tied").kind == "frozen"


WELL_FORMED = """mase = 1
[nodes]
x = { op = "core.input", type = "f32[4]" }
r = { op = "nn.relu", in = ["x"], type = "f32[4]", scope = "act" }
"""

FAULTS = [
    ('"nn.relu"', '"nn.rellu"', 4, "did you mean 'nn.relu'?"),
    ('in = ["x"]', 'in = ["y"]', 4, "'y' is not defined"),
    ('"f32[4]", scope', '"f32[4", scope', 4, "malformed type"),
    ('in = ["x"]', 'inn = ["x"]', 4, "unknown key 'inn'"),
    ("[nodes]", "[grpah]\n[nodes]", 2, "did you mean 'graph'?"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), FAULTS)
def test_faults_name_line_and_remedy(old: str, new: str, line: int, message: str) -> None:
    loads(WELL_FORMED)
    with pytest.raises(MaseError) as caught:
        loads(WELL_FORMED.replace(old, new), file="g.toml")
    assert message in str(caught.value)
    assert f"g.toml:{line}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mase = 1\n[nodes\n", "g.toml:2: error: malformed TOML"),
        ("mase = 2\n[nodes]\n", "not a known format version"),
        ("[nodes]\n", "the key 'mase' is missing"),
        ("mase = 1\n", "neither a graph"),
        ('mase = 1\n[pipeline]\npases = ["a"]\n[nodes]\n', "did you mean 'passes'?"),
        ('mase = 1\n[model]\nsource = "zoo:toy"\n', "the text is a recipe"),
        ('mase = 1\n[weights]\nfile = "x"\n[nodes]\n', "needs the strings"),
        (
            'mase = 1\n[nodes]\ny = { op = "nn.relu", in = ["z"] }\nz = { op = "core.input" }\n',
            "move it up",
        ),
        ('mase = 1\n[graph]\nlevel = "flaot"\n[nodes]\n', "expected one of 'float'"),
        ('mase = 1\n[state]\na = "f3[2]"\n[nodes]\n', "unknown format 'f3'"),
    ],
)
def test_malformed_texts(text: str, message: str) -> None:
    with pytest.raises(MaseError) as caught:
        loads(text, file="g.toml")
    assert message in str(caught.value)


def test_every_fault_is_reported_at_once() -> None:
    text = 'mase = 1\n[nodes]\na = { op = "nn.x" }\nb = { op = "nn.relu", in = ["q"], type = "f32[]" }\n'
    with pytest.raises(MaseError) as caught:
        loads(text)
    assert len(caught.value.diagnostics) == 2


def test_recipe() -> None:
    document = parse_document(
        'mase = 1\n[model]\nsource = "zoo:toy"\n\n[data]\nsource = "toy-tiny"\n', file="r.toml"
    )
    assert document.graph is None
    assert document.header.model == {"source": "zoo:toy"}
    assert str(document.at("data", "source")) == "r.toml:6"


# -- random graphs --------------------------------------------------------------------------

N = symbol("N")
formats = st.one_of(
    st.none(),
    st.builds(
        Fixed,
        width=st.integers(2, 32),
        frac=st.integers(-20, 20),
        narrow=st.booleans(),
        rounding=st.sampled_from(["half_even", "half_up", "floor"]),
    ),
)
floats = st.floats(allow_nan=False)
ops: st.SearchStrategy[Op] = st.one_of(
    st.builds(nn.Relu),
    st.builds(nn.Dropout, p=st.floats(0, 1), dims=st.sampled_from([0, 1, 2, 3])),
    st.builds(nn.Hardtanh, min_val=floats, max_val=floats),
    st.builds(integer.ReluInteger, data_in=formats),
    st.builds(tensor.Flatten, start=st.integers(-3, 3), end=st.integers(-3, 3)),
)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
toml_values = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(2**60), 2**60), floats, st.text(st.characters(exclude_categories=["Cs"]))
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3),
    ),
    max_leaves=6,
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A random well-formed text-level graph (types are drawn, not inferred)."""
    g = Graph(
        draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
        draw(st.sampled_from(["float", "quantized"])),
    )
    shapes = st.lists(st.one_of(st.integers(1, 99), st.sampled_from([N, N + 1, 2 * N, N // 2])), max_size=3)
    types = st.builds(
        lambda f, s: parse_type(f"{f}[{','.join(map(str, s))}]"),
        st.sampled_from(["f32", "bf16", "i64"]),
        shapes,
    )
    nodes = [g.add(core.Input(), type=draw(types), name=draw(names)) for _ in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 8))):
        node = g.add(
            draw(ops),
            draw(st.sampled_from(nodes)),
            type=draw(types),
            name=draw(names),
            scope=draw(st.sampled_from(["", "a.b", "layer.0"])),
        )
        if draw(st.booleans()):
            node.loc = Location("dir/m.py", draw(st.integers(1, 999)))
        if draw(st.booleans()):
            node.meta.set(
                Hint(
                    text=draw(st.text(st.characters(exclude_categories=["Cs"]))),
                    weight=draw(floats),
                    format=draw(formats),
                )
            )
        nodes.append(node)
    g.outputs = draw(st.lists(st.sampled_from(nodes), max_size=3))
    g.header.extra = {"xyz": draw(st.dictionaries(names, toml_values, max_size=3))}
    g.header.model = draw(st.dictionaries(names, toml_values, max_size=2))
    return g


@given(graphs())
def test_random_graphs_round_trip(g: Graph) -> None:
    text = dumps(g)
    again = loads(text)
    assert diff(g, again) == []
    assert dumps(again) == text


@given(graphs())
def test_a_copy_is_equal_and_independent(g: Graph) -> None:
    copy = g.copy()
    assert copy == g
    added: Any = copy.add(nn.Relu(), copy.inputs[0])
    assert copy != g
    copy.erase(added)
    assert copy == g


def test_toml_package_reads_the_same() -> None:
    toml = pytest.importorskip("toml")
    import tomllib

    g = mlp()
    g.header.passes["quantize"]["rules"] = []  # the toml package loses mixed arrays
    g.header.extra = {}
    g["b"].meta.drop(Hint)
    assert toml.loads(dumps(g)) == tomllib.loads(dumps(g))


def test_pool_and_conv_attributes_round_trip() -> None:
    g = Graph()
    g.state.declare("w", parse_type("f32[4,2,3,3]"))  # type: ignore[arg-type]
    x = g.add(core.Input(), type=parse_type("f32[N,4,8,8]"), name="x")
    c = g.add(conv.Conv2d(padding=((1, 1), (0, 2)), groups=2, stride=(2, 1)), x, params={"weight": "w"})
    p = g.add(pool.AdaptiveAvgPool2d(output_size=(None, 7)), c)
    g.outputs = [p]
    assert str(p.type) == "f32[N,4,4,7]"
    assert loads(dumps(g)) == g
