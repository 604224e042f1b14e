"""Overrides of an input's keys: ``-D data.batch_size=64``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from mase.ir.diagnostics import UsageError, did_you_mean
from mase.ir.parser import Document
from mase.passes import get_pass
from mase.passes.grammar import parse_value
from mase.passes.options import parse_options

__all__ = ["Define", "apply_defines", "parse_define"]

_TABLES = ("data", "model", "passes", "pipeline")


@dataclass(frozen=True)
class Define:
    """One override.

    Args:
        text: as written.
        path: the keys from the table inwards.
        value: the plain value.
    """

    text: str
    path: tuple[str, ...]
    value: Any


def parse_define(text: str) -> Define:
    """Read ``key.key=value``.

    Raises:
        UsageError: if it is malformed or names no table that can be overridden.

    Example:
        >>> parse_define("model.args.hidden=10")
        Define(text='model.args.hidden=10', path=('model', 'args', 'hidden'), value=10)
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise UsageError.of(f"-D {text}: expected KEY=VALUE", help="such as -D data.batch_size=64")
    least = 3 if path[0] == "passes" else 2
    if path[0] not in _TABLES:
        raise UsageError.of(f"-D {text}: unknown table {path[0]!r}", help=did_you_mean(path[0], _TABLES))
    if len(path) < least:
        shape = "passes.PASS.OPTION" if path[0] == "passes" else f"{path[0]}.KEY"
        raise UsageError.of(f"-D {text}: expected {shape}=VALUE")
    return Define(text, path, parse_value(value))


def apply_defines(document: Document, defines: Sequence[Define]) -> None:
    """Write overrides into the header of a document.

    Args:
        document: what was read.
        defines: the overrides in order.

    Raises:
        UsageError: if one names a key or an option that cannot be, or would have no effect.
    """
    for define in defines:
        _check(define, captured=document.graph is not None)
        table: dict[str, Any] = getattr(document.header, define.path[0])
        for key in define.path[1:-1]:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                raise UsageError.of(f"-D {define.text}: {key!r} is {inner!r}, not a table")
            table = cast(dict[str, Any], inner)
        table[define.path[-1]] = define.value


def _check(define: Define, *, captured: bool) -> None:
    """Data sets and sources of models check their own keys; those of the other tables are known here."""
    table, key, *rest = define.path
    if table == "model" and captured:
        raise UsageError.of(
            f"-D {define.text}: INPUT holds the captured graph, so [model] changes nothing",
            help="start from the recipe that it came from",
        )
    if table == "pipeline":
        _known(define, key, ("passes",))
    elif table == "passes":
        declared = get_pass(key).options
        _known(define, rest[0], declared)
        written = {rest[0]: define.value} if len(rest) == 1 else {}
        for error in parse_options(declared, written)[1] if written else []:
            if error.option == rest[0]:
                raise UsageError.of(f"-D {define.text}: {error}", help=error.help)


def _known(define: Define, key: str, known: Sequence[str] | dict[str, Any]) -> None:
    if key not in known:
        raise UsageError.of(f"-D {define.text}: unknown key {key!r}", help=did_you_mean(key, known))
