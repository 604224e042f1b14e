"""Showing diagnostics and tables, on standard error, in colour on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mase.ir.diagnostics import Diagnostic, Severity
from mase.ir.processes import is_leader

if TYPE_CHECKING:
    from rich.console import Console

    from mase.cli.arguments import Color

__all__ = [
    "make_console",
    "say",
    "show_diagnostics",
    "show_metrics",
    "show_section",
    "show_stats",
    "show_table",
    "show_timing",
]

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_MOST = 20  # diagnostics on one screen


def make_console(color: Color = "auto") -> Console:
    """A console on standard error, silent in a process that only helps."""
    from rich.console import Console

    quiet = not is_leader()
    if color == "auto":
        return Console(stderr=True, quiet=quiet)
    return Console(stderr=True, quiet=quiet, force_terminal=color == "always", no_color=color == "never")


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it is.

    Args:
        console: where.
        text: the line, or several; brackets and numbers have no meaning.
        style: a rich style.
    """
    console.print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def show_diagnostics(console: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """Print findings, the first of many; on a terminal with the line that each is about."""
    found = list(diagnostics)
    for diagnostic in found[:_MOST]:
        _show_diagnostic(console, diagnostic)
    if len(found) > _MOST:
        say(console, f"... and {len(found) - _MOST} more", "dim")


def show_section(console: Console, title: str, body: str) -> None:
    """Print a titled text as it is, so that it can be copied."""
    say(console, f"// {title}", "bold")
    say(console, body.rstrip("\n"))


def show_metrics(console: Console, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Print what was measured: a row for each metric, a column for each stage."""
    stages = list(dict.fromkeys(stage for values in metrics.values() for stage in values))
    rows = [
        [name, *(_number(values[stage]) if stage in values else "" for stage in stages)]
        for name, values in metrics.items()
    ]
    show_table(console, "results", ["metric", *stages], rows)


def show_timing(console: Console, seconds: Sequence[tuple[str, float]]) -> None:
    """Print how long each pass took."""
    total = sum(duration for _, duration in seconds) or 1.0
    rows = [[name, f"{duration:.3f}", f"{duration / total:.0%}"] for name, duration in seconds]
    show_table(console, "timing", ["pass", "seconds", "share"], [*rows, ["total", f"{total:.3f}", ""]])


def show_stats(console: Console, stats: Mapping[str, Counter[str]]) -> None:
    """Print the counters of each pass."""
    rows = [
        [name, counter, str(n)] for name, counters in stats.items() for counter, n in counters.items() if n
    ]
    show_table(console, "statistics", ["pass", "counter", "count"], rows)


def _number(value: float) -> str:
    if value == int(value) and (value == 0 or abs(value) >= 10):  # a count
        return f"{int(value):,}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"


def show_table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; its first column is at the left, the others at the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _show_diagnostic(console: Console, diagnostic: Diagnostic) -> None:
    from rich.text import Text

    text = Text(str(diagnostic))
    text.highlight_words([f"{diagnostic.severity.value}:"], _STYLES[diagnostic.severity])
    text.highlight_words(["  help:", "  in:"], "bold")
    console.print(text, soft_wrap=True, highlight=False)
    if console.is_terminal and diagnostic.at and (line := _line(diagnostic)):
        say(console, f"{diagnostic.at.line:>6} | {line}", "dim")


def _line(diagnostic: Diagnostic) -> str | None:
    """The text of the line that a diagnostic is about."""
    assert diagnostic.at is not None
    try:
        lines = Path(diagnostic.at.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[diagnostic.at.line - 1] if 0 < diagnostic.at.line <= len(lines) else None
