"""Where each key of a TOML text stands, which ``tomllib`` does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, cast

__all__ = ["LineIndex"]

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_ASSIGNMENT = re.compile(rf"\s*(?P<key>{_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_HEADER = re.compile(r"\s*\[{1,2}(?P<key>[^\[\]].*?)\]{1,2}\s*(?:#.*)?$")
_TOKEN = re.compile(
    r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[\]{}]',
)

Path = tuple[str, ...]


class LineIndex:
    r"""The line of each key path of a valid TOML text.

    Example:
        >>> index = LineIndex('mase = 1\n[nodes]\nx = { op = "core.input" }\n')
        >>> index.line("nodes", "x"), index.line("nodes", "x", "op"), index.line("other")
        (3, 3, 1)
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _lines(self) -> dict[Path, int]:
        """The line of each path; found when first asked for, as most texts have no fault to place."""
        lines: dict[Path, int] = {}
        table: Path = ()
        for number, line in _outer_lines(self._text):
            if header := _HEADER.match(line):
                table = _path(header["key"])
                for i in range(1, len(table) + 1):
                    lines.setdefault(table[:i], number)
            elif assignment := _ASSIGNMENT.match(line):
                key = _path(assignment["key"])
                for i in range(1, len(key) + 1):
                    lines.setdefault(table + key[:i], number)
        return lines

    def line(self, *path: str) -> int:
        """The line of the longest known beginning of ``path``; 1 if none is known."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1


def _path(dotted: str) -> Path:
    try:
        value: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(value, dict):
        key, value = next(iter(cast(dict[str, Any], value).items()))
        path.append(key)
    return tuple(path)


def _outer_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that do not begin inside a multi-line string or array, with their numbers."""
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if depth == 0 and not quote:
            yield number, line
        position = 0
        while position < len(line):
            if quote:
                end = line.find(quote, position)
                position, quote = (len(line), quote) if end < 0 else (end + 3, "")
                continue
            token = _TOKEN.search(line, position)
            if token is None:
                break
            position = token.end()
            if token[0] in ('"""', "'''"):
                quote = token[0]
            elif len(token[0]) == 1 and not _HEADER.match(line):
                depth += 1 if token[0] in "[{" else -1
