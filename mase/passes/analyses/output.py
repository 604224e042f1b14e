"""What passes give to people and files: whole files, CSV, tables that do not wrap, bars on terminals."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mase.ir.files import write_atomically
from mase.passes.context import Context

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["as_csv", "tracked", "unwrapped", "write_file"]

T = TypeVar("T")


def write_file(ctx: Context, file: str, content: str | bytes, what: str) -> Path:
    """Write a file whole or not at all, and tell the run of it.

    Args:
        ctx: the context; a relative ``file`` lies in its output folder, if it has one.
        file: the path.
        content: text (UTF-8) or bytes.
        what: a few words on what it is, such as ``"graph drawing"``.
    """
    path = (ctx.output_dir or Path()) / file
    data = content.encode() if isinstance(content, str) else content

    def write(part: Path) -> None:
        part.write_bytes(data)

    write_atomically(path, write)
    return ctx.wrote(path, what)


def as_csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    r"""Rows as CSV, below the names of their columns.

    Example:
        >>> as_csv(["layer", "bits"], [("conv, first", 8)])
        'layer,bits\n"conv, first",8\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def unwrapped(console: Console, width: int = 200) -> Console:
    """A console for tables: the same if it is a terminal, else one of ``width``, for a log does not wrap."""
    from rich.console import Console

    return console if console.is_terminal else Console(file=console.file, width=width)


def tracked(items: Iterable[T], label: str, console: Console | None, total: int | None = None) -> Iterable[T]:
    """Items with a bar that tells how many are done; without one where the console is no terminal.

    Args:
        items: what to go through.
        label: what stands before the bar.
        console: where to.
        total: how many items there are, if they do not tell.
    """
    if console is None or not console.is_terminal:
        return items
    from rich.progress import track

    return track(items, label, total, console=console, transient=True)
