"""Options: declared by signatures and fields, typed, validated and documented."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from mase.ir import Format, Graph, parse_format
from mase.passes.context import Context
from mase.passes.grammar import parse_value
from mase.passes.options import Option, options_of, parse_options


@dataclass(frozen=True, kw_only=True)
class Rule:
    op: str
    weight: Format | None = None


def sample(
    graph: Graph,
    ctx: Context,
    *,
    width: int,
    limit: float = 1.0,
    mode: Literal["range", "mse"] = "range",
    weight: Format | None = None,
    rules: tuple[Rule, ...] = (),
    names: list[str] | None = None,
    table: dict[str, Any] | None = None,
) -> None:
    """Do something.

    Args:
        width: bits of a number,
            from 1 to 32.
        limit (float): the largest magnitude.

    Raises:
        limit: is no option here.
    """


def parse(**written: str) -> tuple[dict[str, Any], list[str]]:
    """Parse options written as in a pipeline."""
    values, errors = parse_options(
        options_of(sample), {name: parse_value(text) for name, text in ({"width": "8"} | written).items()}
    )
    return values, [f"{error} | {error.help}" for error in errors]


def test_signature_declares_options() -> None:
    options = options_of(sample)
    assert list(options) == ["width", "limit", "mode", "weight", "rules", "names", "table"]
    assert options["width"].required
    assert options["width"].doc == "bits of a number, from 1 to 32."
    assert options["limit"].doc == "the largest magnitude."
    assert options["limit"].default_text == "1.0"
    assert options["mode"].type_text == "Literal['range', 'mse']"
    assert options["weight"].type_text == "Format | None"


@dataclass(frozen=True, kw_only=True)
class Base:
    """Base.

    Args:
        depth: how deep.
    """

    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Derived(Base):
    """Derived.

    Args:
        names: which.
    """

    names: list[str] = field(default_factory=lambda: ["a"])


def test_fields_declare_options() -> None:
    options = options_of(Derived)
    assert options["depth"] == Option("depth", int, 1, "how deep.")
    assert options["names"] == Option("names", list[str], ["a"], "which.")
    assert options["names"].default_text == '["a"]'


def test_values_are_typed() -> None:
    values, errors = parse(
        limit="2",
        weight="fixed<8,4>",
        rules='[{op="nn.conv2d", weight="fixed<4,3>"}, {op=nn.linear}]',
        table='{any = [1, "x"]}',
    )
    assert not errors
    assert values["limit"] == 2.0
    assert isinstance(values["limit"], float)
    assert values["weight"] == parse_format("fixed<8,4>")
    assert values["rules"] == (Rule(op="nn.conv2d", weight=parse_format("fixed<4,3>")), Rule(op="nn.linear"))
    assert values["table"] == {"any": [1, "x"]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("widht", "8", "unknown option 'widht' | did you mean 'width'?"),
        ("width", "8.5", "option 'width': expected an integer, found 8.5"),
        ("width", "true", "option 'width': expected an integer, found True"),
        ("mode", "msee", "option 'mode': expected one of 'range', 'mse', found 'msee'"),
        ("weight", "fixt<8,4>", "option 'weight': unknown format 'fixt<8,4>'"),
        ("rules", "[{op=x, wieght=y}]", "option 'rules': unknown key 'wieght'"),
        ("rules", "[{weight=f32}]", "option 'rules': 'op' is missing"),
        ("names", "a", "option 'names': expected an array, found 'a'"),
    ],
)
def test_errors_say_what_was_expected(name: str, text: str, message: str) -> None:
    _, errors = parse(**{name: text})
    assert len(errors) == 1
    assert errors[0].startswith(message)


def test_missing_option() -> None:
    _, errors = parse_options(options_of(sample), {})
    assert [str(error) for error in errors] == ["option 'width' is missing"]


def test_types_for_type_checkers_only_are_not_looked_up() -> None:
    def lazy(graph: "Nowhere", ctx: "Nowhere", *, n: "int" = 1) -> None: ...  # type: ignore[name-defined] # noqa: F821

    assert options_of(lazy)["n"].hint is int
