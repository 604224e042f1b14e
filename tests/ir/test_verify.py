"""The verifier: one broken rule at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mase.ir import FixedWidth, Graph, Location, Template, parse_type
from mase.ir.ops import core, integer, nn, tensor
from mase.ir.verify import verify


def small() -> Graph:
    """A well-formed graph."""
    g = Graph()
    g.state.declare("l.weight", parse_type("f32[3,4]"))  # type: ignore[arg-type]
    x = g.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
    y = g.add(nn.Linear(), x, params={"weight": "l.weight"}, name="l", loc=Location("m.py", 7))
    g.outputs = [g.add(nn.Relu(), y, name="r")]
    return g


def test_a_well_formed_graph_has_no_faults() -> None:
    assert verify(small()) == []
    assert verify(Graph()) == []


def order(g: Graph) -> None:
    with g.inserting_before(g["x"]):
        bad = g.add(nn.Relu(), g["l"], name="early")
    assert bad.users == ()


def stranger(g: Graph) -> None:
    other = small()
    g["r"].inputs = [other["l"]]


def erased_output(g: Graph) -> None:
    other = small()
    g.outputs = [other["r"]]


def arity(g: Graph) -> None:
    g["r"].inputs = [g["l"], g["l"]]


def missing_role(g: Graph) -> None:
    g["l"].params = {}


def unknown_role(g: Graph) -> None:
    g["l"].params = {**g["l"].params, "wieght": "l.weight"}


def missing_key(g: Graph) -> None:
    g["l"].params = {"weight": "gone"}


def wrong_type(g: Graph) -> None:
    g["l"].type = parse_type("f32[N,5]")


def bad_operand(g: Graph) -> None:
    g["x"].type = parse_type("f32[N,9]")


def level(g: Graph) -> None:
    g["r"].op = integer.ReluInteger()


def uncalibrated(g: Graph) -> None:
    g.level = "quantized"
    g["r"].op = integer.ReluInteger(data_in=FixedWidth(8))


def structure(g: Graph) -> None:
    g.structure = Template.parse("(%0, %1)")


CASES: list[tuple[Callable[[Graph], None], str]] = [
    (order, "after its user"),
    (stranger, "operand 'l' is after its user"),
    (erased_output, "output 'r' is not in the graph"),
    (arity, "expected 1 operands (data_in), found 2"),
    (missing_role, "the role 'weight' has no weight"),
    (unknown_role, "no role 'wieght'"),
    (missing_key, "'gone' is not in the state"),
    (wrong_type, "declared f32[N,5], but its operands give f32[N,3]"),
    (bad_operand, "features of data_in: expected 4, found 9"),
    (level, "a quantized op in a graph of level float"),
    (uncalibrated, "data_in = fixed<8> has no fraction yet"),
    (structure, "structure (%0, %1) does not hold the 1 outputs"),
]


@pytest.mark.parametrize(("break_it", "message"), CASES)
def test_each_rule(break_it: Callable[[Graph], None], message: str) -> None:
    g = small()
    break_it(g)
    assert message in "\n".join(map(str, verify(g)))


def test_a_fault_names_the_users_line() -> None:
    g = small()
    wrong_type(g)
    assert "from m.py:7" in str(verify(g)[0])


def test_symbolic_dimensions_may_turn_out_equal() -> None:
    g = Graph()
    x = g.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
    y = g.add(core.Input(), type=parse_type("f32[M,4]"), name="y")
    g.outputs = [g.add(tensor.Add(), x, y)]
    assert verify(g) == []


def test_verbs() -> None:
    g = small()
    with g.inserting_after(g["l"]):
        d = g.add(nn.Dropout(p=0.1), g["l"], name="d")
    g["r"].replace_input(g["l"], d)
    assert [n.name for n in g.nodes] == ["x", "l", "d", "r"]
    with pytest.raises(ValueError, match="used by r"):
        g.erase(d)
    d.replace_all_uses_with(g["l"])
    g.erase(d)
    g["r"].replace_all_uses_with(g["l"])
    assert g.outputs == [g["l"]]
    assert g["r"].users == ()


def test_users_of_a_weight_are_known_by_all_its_names() -> None:
    g = small()
    g.state.alias("tied", "l.weight")
    g.state.declare("bias", parse_type("f32[3]"))  # type: ignore[arg-type]
    twin = g.add(nn.Linear(), g["x"], params={"weight": "tied", "bias": "bias"}, name="twin")
    assert g.users_of("l.weight") == g.users_of("tied") == [g["l"], twin]
    assert [n.name for n in g.copy().users_of("tied")] == ["l", "twin"]
    twin.params = {"weight": "tied"}
    assert g.users_of("bias") == []
    g.erase(twin)
    assert g.users_of("tied") == [g["l"]]


def test_names_are_the_first_that_are_free() -> None:
    g = small()
    added = [g.add(nn.Relu(), g["l"], name="r") for _ in range(3)]
    assert [n.name for n in added] == ["r_1", "r_2", "r_3"]
    g.erase(g["r_2"])
    assert [g.add(nn.Relu(), g["l"], name="r").name for _ in range(2)] == ["r_2", "r_4"]


def test_networkx_serves_order_and_dominance() -> None:
    import networkx

    g = small()
    view = g.to_networkx()
    assert list(networkx.topological_sort(view)) == ["x", "l", "r"]
    assert networkx.immediate_dominators(view, "x")["r"] == "l"
    assert view.edges["l", "r"]["operands"] == [0]
    assert view.nodes["l"]["node"] is g["l"]
