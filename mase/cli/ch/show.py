"""The table of settings that a run begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mase.passes.analyses.output import unwrapped

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_settings"]

_COLUMNS = ("setting", "default", "configuration", "command line", "effective")
_WIDE = 160


def show_settings(console: Console, title: str, rows: Iterable[Sequence[str]]) -> None:
    """Print a row for each setting; what was said is bold, so that it stands out.

    Args:
        console: where to.
        title: what runs.
        rows: the texts of the columns.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(_COLUMNS[0], no_wrap=True)
    for name in _COLUMNS[1:]:
        table.add_column(name, overflow="fold")
    for row in rows:
        said = any(text != "-" for text in row[2:4])
        table.add_row(*(Text(text) for text in row), style="bold" if said else "dim")
    unwrapped(console, _WIDE).print(table)
