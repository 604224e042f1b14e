"""Argument templates: nested Python arguments with numbered holes, as one line of text.

``([%0, %1], -1)`` is a call's arguments whose first is a list of operands 0 and 1. A template
serves calls (``torch.call``), graph outputs (``{'logits': %0}``) and dataclass-like results
(``transformers.modeling_outputs.BaseModelOutput(last_hidden_state=%0)``).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Hole", "Named", "Record", "Template"]


@dataclass(frozen=True)
class Hole:
    """The place of operand ``index``."""

    index: int


@dataclass(frozen=True)
class Named:
    """A constant that only torch can build: a dtype by format name (``f32``) or ``torch.strided``."""

    name: str


@dataclass(frozen=True)
class Record:
    """A dataclass-like value by its qualified class name and its present fields."""

    cls: str
    fields: tuple[tuple[str, Any], ...]


_HOLE = re.compile(r"%(\d+)")


@dataclass(frozen=True)
class Template:
    """A nested value of lists, tuples, dicts, slices, literals, `Named`, `Record` and `Hole`.

    Example:
        >>> t = Template.parse("([%0, %1], -1, f32)")
        >>> t.holes
        (0, 1)
        >>> t.fill(lambda i: "ab"[i], named=lambda n: n.upper())
        (['a', 'b'], -1, 'F32')
        >>> str(t)
        '([%0, %1], -1, f32)'
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, value: Any) -> Template:
        """The template of a nested value.

        Raises:
            ValueError: if something in it has no text.
        """
        return cls(_print(value))

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template and bring it to its canonical text.

        Raises:
            ValueError: if it is malformed.
        """
        return cls.of(_parse(text))

    @cached_property
    def value(self) -> Any:
        """The nested value with its `Hole` objects in place."""
        return _parse(self.text)

    @cached_property
    def holes(self) -> tuple[int, ...]:
        """The hole numbers in order of appearance, each once."""
        seen: dict[int, None] = {}
        self.fill(lambda i: seen.setdefault(i), named=str, record=lambda c, f: None)
        return tuple(seen)

    def fill(
        self,
        hole: Callable[[int], Any],
        named: Callable[[str], Any],
        record: Callable[[str, Mapping[str, Any]], Any] | None = None,
    ) -> Any:
        """The value with every hole, named constant and record replaced by what the callbacks give."""

        def walk(v: Any) -> Any:
            match v:
                case Hole(index):
                    return hole(index)
                case Named(name):
                    return named(name)
                case Record(cls, pairs):
                    filled = {k: walk(x) for k, x in pairs}
                    return record(cls, filled) if record else Record(cls, tuple(filled.items()))
                case tuple():
                    return tuple(walk(x) for x in v)  # pyright: ignore[reportUnknownVariableType]
                case list():
                    return [walk(x) for x in v]  # pyright: ignore[reportUnknownVariableType]
                case dict():
                    return {k: walk(x) for k, x in v.items()}  # pyright: ignore[reportUnknownVariableType]
                case slice():
                    return slice(*(walk(x) for x in _bounds(v)))
                case _:
                    return v

        return walk(self.value)


def _print(value: Any) -> str:
    match value:
        case Hole(index):
            return f"%{index}"
        case Named(name):
            return name
        case Record(cls, pairs):
            return f"{cls}({', '.join(f'{k}={_print(v)}' for k, v in pairs)})"
        case tuple():
            items = [_print(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        case list():
            return f"[{', '.join(_print(v) for v in value)}]"  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return "{" + ", ".join(f"{_print(k)}: {_print(v)}" for k, v in value.items()) + "}"  # pyright: ignore[reportUnknownVariableType]
        case slice():
            return f"slice({', '.join(_print(v) for v in _bounds(value))})"
        case float() if not math.isfinite(value):
            return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
        case None | bool() | int() | float() | str():
            return repr(value)
        case _:
            raise ValueError(f"{type(value).__name__} has no template text")


def _bounds(value: Any) -> tuple[Any, Any, Any]:
    """Start, stop and step of a slice, which may be holes."""
    return value.start, value.stop, value.step


def _parse(text: str) -> Any:
    try:
        return _convert(ast.parse(_outside_strings(text), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"malformed template {text!r}") from None


def _outside_strings(text: str) -> str:
    """Turn ``%3`` into a name that Python's grammar accepts, except inside string literals."""
    pieces = re.split(r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", text)
    return "".join(p if i % 2 else _HOLE.sub(r"_hole_\1", p) for i, p in enumerate(pieces))


def _convert(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name.startswith("_hole_"):
            return Hole(int(name.removeprefix("_hole_")))
        case ast.Name(id="inf" | "nan" as name):
            return float(name)
        case ast.Name(id=name):
            return Named(name)
        case ast.Attribute():
            return Named(ast.unparse(node))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_convert(operand)
        case ast.Tuple(elts=elts):
            return tuple(_convert(e) for e in elts)
        case ast.List(elts=elts):
            return [_convert(e) for e in elts]
        case ast.Dict(keys=keys, values=values):
            return {_convert(k): _convert(v) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.Call(func=ast.Name(id="slice"), args=[start, stop, step], keywords=[]):
            return slice(_convert(start), _convert(stop), _convert(step))
        case ast.Call(func=func, args=[], keywords=keywords):
            return Record(ast.unparse(func), tuple((k.arg or "", _convert(k.value)) for k in keywords))
        case _:
            raise ValueError(f"unexpected {ast.unparse(node)!r} in a template")
