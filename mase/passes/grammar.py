"""The text of a pipeline: ``quantize{width=4 mode="mse"},train{max_epochs=3},eval``.

    pipeline = call ("," call)*            call  = name ("{" (option ","?)* "}")?
    option   = key "=" value               value = TOML value | bare word such as mse or fixed<8,4>

Tables (``{key = value, ...}``) and arrays nest. A text prints back in one canonical form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar, cast

from mase.ir.diagnostics import UsageError
from mase.ir.toml_values import toml_inline, toml_key

__all__ = ["Call", "parse_pipeline", "parse_value", "print_pipeline", "print_value"]

T = TypeVar("T")

_SPACE = re.compile(r"(?:\s|#[^\n]*)*")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_FLOAT = re.compile(r"[+-]?(?:inf|nan|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)(?![\w.])")
_INT = re.compile(r"[+-]?(?:0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|\d[\d_]*)(?![\w.])")
_WORD = re.compile(r"[A-Za-z_*][\w.:/*-]*(?:<[^<>]*>)?")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'([^'\n]*)'")
_WORDS: Mapping[str, object] = {"true": True, "false": False}


@dataclass(frozen=True)
class Call:
    """A pass with its options as plain values.

    Args:
        name: the pass.
        options: what is written between the braces.
        column: where in the text it begins; counts from 0 and is not compared.

    Example:
        >>> str(Call("quantize", {"width": 4, "mode": "mse"}))
        'quantize{width=4 mode="mse"}'
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    column: int = field(default=0, compare=False)

    def __str__(self) -> str:
        inside = " ".join(f"{key}={print_value(value)}" for key, value in self.options.items())
        return f"{self.name}{{{inside}}}" if inside else self.name


def parse_pipeline(text: str) -> list[Call]:
    """Read a pipeline.

    Args:
        text: as in ``mase-opt --passes``; blank for no pass at all.

    Raises:
        UsageError: if it is malformed, showing where.

    Example:
        >>> parse_pipeline("quantize{width=4}, train")
        [Call(name='quantize', options={'width': 4}, column=0), Call(name='train', options={}, column=19)]
        >>> parse_pipeline("quantize{width 4}")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.UsageError: error: malformed pipeline: expected '=' after option 'width'
            quantize{width 4}
                           ^
    """
    return _Reader(text, "pipeline").whole(_Reader.pipeline)


def parse_value(text: str) -> Any:
    """Read one value.

    Raises:
        UsageError: if it is malformed, showing where.

    Example:
        >>> parse_value('[{op="nn.conv2d", weight=fixed<4,3>}]')
        [{'op': 'nn.conv2d', 'weight': 'fixed<4,3>'}]
    """
    return _Reader(text, "value").whole(_Reader.value)


def print_pipeline(calls: Sequence[Call]) -> str:
    """The canonical text of a pipeline."""
    return ",".join(map(str, calls))


def print_value(value: object) -> str:
    """The canonical text of a value, which is TOML on one line.

    Raises:
        TypeError: if the value is of no TOML type.

    Example:
        >>> print_value({"a": [1, 2.0, True], "b": "x"})
        '{a = [1, 2.0, true], b = "x"}'
    """
    match value:
        case Mapping():
            items = cast(Mapping[str, object], value).items()
            return "{" + ", ".join(f"{toml_key(k)} = {print_value(v)}" for k, v in items) + "}"
        case Sequence() if not isinstance(value, str):
            return f"[{', '.join(print_value(v) for v in cast(Sequence[object], value))}]"
        case _:
            return toml_inline(value)


class _Reader:
    """A position in a text; each method reads one thing and moves on."""

    def __init__(self, text: str, what: str) -> None:
        self._text, self._what, self._at = text, what, 0

    def whole(self, read: Callable[[_Reader], T]) -> T:
        result = read(self)
        if self._skip() < len(self._text):
            self._fail(f"unexpected {self._text[self._at]!r}")
        return result

    def pipeline(self) -> list[Call]:
        calls: list[Call] = []
        if self._skip() == len(self._text):
            return calls
        while True:
            calls.append(self.call())
            if not self._accept(","):
                return calls

    def call(self) -> Call:
        start = self._skip()
        name = self._match(_NAME) or self._fail("expected the name of a pass")
        options = self._table() if self._accept("{") else {}
        return Call(name, options, start)

    def value(self) -> Any:
        self._skip()
        if self._accept("["):
            return self._array()
        if self._accept("{"):
            return self._table()
        if (text := self._string()) is not None:
            return text
        if (number := self._match(_INT)) is not None:
            return self._integer(number)
        if (number := self._match(_FLOAT)) is not None:
            return float(number.replace("_", ""))
        if (word := self._match(_WORD)) is not None:
            return _WORDS.get(word, word)
        return self._fail("expected a value", help='a number, true, "text", [array] or {key = value}')

    def _option(self, options: dict[str, Any]) -> None:
        start = self._skip()
        key = self._string()
        if key is None:
            key = self._match(_KEY) or self._fail("expected an option, such as width=4, or '}'")
        if key in options:
            self._at = start
            self._fail(f"option {key!r} is given twice")
        if not self._accept("="):
            self._fail(f"expected '=' after option {key!r}")
        options[key] = self.value()

    def _array(self) -> list[Any]:
        items: list[Any] = []
        while not self._accept("]"):
            items.append(self.value())
            if not self._accept(",") and not self._peek("]"):
                self._fail("expected ',' or ']'")
        return items

    def _table(self) -> dict[str, Any]:
        table: dict[str, Any] = {}
        while not self._accept("}"):
            self._option(table)
            self._accept(",")
        return table

    def _string(self) -> str | None:
        start = self._at
        if (text := self._match(_LITERAL)) is not None:
            return text[1:-1]
        if (text := self._match(_BASIC)) is None:
            return None
        try:
            return json.loads(text, strict=False)
        except ValueError:
            self._at = start
            self._fail("bad escape in a string", help="write a backslash as \\\\, or use single quotes")

    def _integer(self, text: str) -> int:
        sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-").replace("_", "")
        return sign * int(digits, 0 if digits[:2] in ("0x", "0o", "0b") else 10)

    def _skip(self) -> int:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _peek(self, mark: str) -> bool:
        return self._text.startswith(mark, self._skip())

    def _accept(self, mark: str) -> bool:
        found = self._peek(mark)
        self._at += len(mark) if found else 0
        return found

    def _fail(self, problem: str, help: str | None = None) -> NoReturn:
        start = self._text.rfind("\n", 0, self._at) + 1
        line = self._text[start:].partition("\n")[0]
        caret = " " * (self._at - start) + "^"
        raise UsageError.of(f"malformed {self._what}: {problem}\n    {line}\n    {caret}", help=help)
