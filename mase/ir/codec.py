"""Attribute values as plain TOML values and back, directed by the attribute's type.

Formats, types and templates are strings, tuples are arrays, frozen dataclasses are tables whose
absent keys are defaults. TOML has no null: a None that is no default is the string ``"none"``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.dim import Expr, parse_dim
from mase.ir.format import Format, parse_format
from mase.ir.template import Template
from mase.ir.types import NoneType, ScalarType, TensorType, TupleType, parse_type

__all__ = ["field_hints", "from_fields", "from_plain", "to_fields", "to_plain"]

_TYPES = frozenset({TensorType, ScalarType, TupleType, NoneType})
_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}


@cache
def field_hints(cls: type[Any]) -> dict[str, Any]:
    """The resolved type of each dataclass field."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


# -- writing --------------------------------------------------------------------------------


def to_plain(value: Any) -> Any:
    """A value as TOML holds it.

    Raises:
        ValueError: if the value has no text.

    Example:
        >>> from mase.ir import parse_format
        >>> to_plain(((1, 2), parse_format("fixed<8,4>"), None))
        [[1, 2], 'fixed<8,4>', 'none']
    """
    if value is None:
        return "none"
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Format | Template | Expr | TensorType | ScalarType | TupleType | NoneType):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, Sequence):
        return [to_plain(v) for v in cast(Sequence[Any], value)]
    if is_dataclass(value) and not isinstance(value, type):
        return to_fields(value)
    raise ValueError(f"{type(value).__name__} has no text")


def to_fields(value: Any) -> dict[str, Any]:
    """A dataclass as a table of the fields that differ from their defaults."""
    hints = field_hints(cast(type[Any], type(value)))
    table: dict[str, Any] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if item == _default(field):
            continue
        whole = isinstance(item, int) and _is_float(hints[field.name])
        table[field.name] = float(item) if whole else to_plain(item)
    return table


def _is_float(hint: Any) -> bool:
    """Whether a number of this type is written with a point even where it is whole."""
    options = (
        set(get_args(hint)) - {types.NoneType} if get_origin(hint) in (Union, types.UnionType) else {hint}
    )
    return options == {float}


# -- reading --------------------------------------------------------------------------------


def from_fields(cls: type[Any], table: Mapping[str, Any]) -> Any:
    """Build a dataclass from a table.

    Raises:
        ValueError: if a key is unknown, missing or of the wrong type; the message names it.
    """
    hints = field_hints(cls)
    for key in table:
        if key not in hints:
            raise ValueError(f"unknown key {key!r}; {did_you_mean(key, hints) or 'no keys are known'}")
    values: dict[str, Any] = {}
    for field in fields(cls):
        if field.name in table:
            try:
                values[field.name] = from_plain(hints[field.name], table[field.name])
            except ValueError as error:
                raise ValueError(f"{field.name}: {error}") from None
        elif _default(field) is MISSING:
            raise ValueError(f"{field.name!r} is missing")
    return cls(**values)


def from_plain(hint: Any, value: Any) -> Any:
    """Read a TOML value as the type ``hint``.

    Raises:
        ValueError: saying what was expected.

    Example:
        >>> from_plain(tuple[int, ...], [1, 2])
        (1, 2)
        >>> from_plain(int, "x")
        Traceback (most recent call last):
        ...
        ValueError: expected an integer, found 'x'
    """
    if hint is Any or hint is object:
        return value
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(args, value)
    if origin is Literal:
        if value not in args:
            raise ValueError(f"expected one of {', '.join(map(repr, args))}, found {value!r}")
        return value
    if origin is tuple or hint is tuple:
        return _tuple(args, value)
    if origin in (list, Sequence):
        return [from_plain(args[0], v) for v in _sequence(value)]
    if origin in (dict, Mapping) or hint is dict:
        return _mapping(args, value)
    return _leaf(hint, value)


def _leaf(hint: Any, value: Any) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint in _WORDS:
        if type(value) is not hint:
            raise ValueError(f"expected {_WORDS[hint]}, found {value!r}")
        return value
    if isinstance(hint, type) and issubclass(hint, Format):
        return _parsed(parse_format, "a format", value)
    if hint in _TYPES:
        return _parsed(parse_type, "a type", value)
    if hint is Template:
        return _parsed(Template.parse, "a template", value)
    if hint is Expr:
        return _parsed(parse_dim, "a dimension", value)
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table, found {value!r}")
        return from_fields(hint, cast(Mapping[str, Any], value))
    raise ValueError(f"{hint} cannot be read from text")


def _parsed(parse: Any, what: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"expected {what} as a string, found {value!r}")
    try:
        return parse(value)
    except MaseError as error:
        first = error.diagnostics[0]
        raise ValueError(first.message + (f"; {first.help}" if first.help else "")) from None


def _union(options: Sequence[Any], value: Any) -> Any:
    if types.NoneType in options and value in (None, "none"):
        return None
    rest = [o for o in options if o is not types.NoneType]
    problems: list[str] = []
    for option in sorted(rest, key=lambda o: type(value) is not o):
        try:
            return from_plain(option, value)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(problems[0] if len(set(rest) - _TYPES) <= 1 else "; ".join(dict.fromkeys(problems)))


def _sequence(value: Any) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"expected an array, found {value!r}")
    return cast(Sequence[Any], value)


def _tuple(args: Sequence[Any], value: Any) -> tuple[Any, ...]:
    items = _sequence(value)
    if not args:
        return tuple(items)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(from_plain(args[0], v) for v in items)
    if len(args) != len(items):
        raise ValueError(f"expected {len(args)} elements, found {len(items)}")
    return tuple(from_plain(a, v) for a, v in zip(args, items, strict=True))


def _mapping(args: Sequence[Any], value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a table, found {value!r}")
    table = cast(Mapping[str, Any], value)
    return {k: from_plain(args[1], v) for k, v in table.items()} if args else dict(table)
