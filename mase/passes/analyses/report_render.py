"""A report as a table for people, as CSV for programs, and as a page for browsers."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mase.passes.analyses.output import as_csv, unwrapped
from mase.passes.analyses.report_rows import COLUMNS, Cell, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["render_csv", "render_html", "render_table", "short"]

_WHY = "not quantized"
_EXPENDABLE = ("mean", "std", "scope", "bits moved", "bit ops", "bram", "dsp", "type", "min", "max")


def short(value: Cell) -> str:
    """A cell for people: counts with a unit of thousand, measurements to four digits.

    Example:
        >>> short(1_834_000), short(512), short(0.123456), short(None)
        ('1.83M', '512', '0.1235', '')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    if not isinstance(value, int) or abs(value) < 10_000:
        return "" if value is None else str(value)
    scaled = float(value)
    for unit in ("", "k", "M", "G", "T"):
        if abs(scaled) < 999.5:
            return f"{scaled:.3g}{unit}"
        scaled /= 1000
    return f"{scaled:.3g}P"


def render_table(console: Console, title: str, rows: Sequence[Row], totals: Row) -> None:
    """Print a table of the nodes, a line of totals, and the nodes that stayed in float with the reason.

    Where a terminal is too narrow, the columns that matter least are left out, and named below.

    Args:
        console: where to.
        title: what the rows are of.
        rows: the nodes.
        totals: the sums, by column.
    """
    console = unwrapped(console)
    names, hidden = _columns(rows), list[str]()
    table = _table(title, names, rows, totals)
    for name in (n for n in _EXPENDABLE if n in names):
        if console.measure(table, options=console.options.update(width=10_000)).minimum <= console.width:
            break
        names.remove(name)
        hidden.append(name)
        table = _table(title, names, rows, totals)
    if hidden:
        table.caption = f"no room for {', '.join(hidden)}; report{{file=report.html}} has them"
    console.print(table)
    left = [{"node": row["node"], "op": row["op"], "why": row[_WHY]} for row in rows if row[_WHY]]
    if left:
        nodes = "node" if len(left) == 1 else "nodes"
        console.print(_table(f"{len(left)} {nodes} not quantized", ["node", "op", "why"], left, {}))


def _table(title: str, names: Sequence[str], rows: Sequence[Row], totals: Row) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.show_footer, table.caption_justify = bool(totals), "left"
    for name in names:
        footer = short(totals.get(name)) if name != "node" else "total"
        right = any(isinstance(row[name], int | float) for row in rows)
        wraps = name in ("formats", "scope", "why")
        table.add_column(name, footer, justify="right" if right else "left", no_wrap=not wraps)
    for row in rows:
        # A role stays on one line with its format.
        table.add_row(*(Text(short(row[name]).replace(": ", ":\u00a0")) for name in names))
    return table


def render_csv(rows: Sequence[Row], columns: Iterable[str] = COLUMNS) -> str:
    """Every column of every row, numbers in full; the first line names the columns."""
    names = list(columns)
    return as_csv(names, ([row[name] for name in names] for row in rows))


def render_html(title: str, rows: Sequence[Row], totals: Row, columns: Iterable[str] = ()) -> str:
    """A page that needs nothing but itself.

    Args:
        title: what the rows are of.
        rows: the nodes.
        totals: the sums, by column.
        columns: what to show; by default those of a report that say something.
    """
    names = list(columns)
    if not names:
        names = _columns(rows) + ([_WHY] if any(row[_WHY] for row in rows) else [])
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "\n".join(f"<tr>{''.join(map(_cell, (row[n] for n in names)))}</tr>" for row in rows)
    foot = "".join(map(_cell, ("total" if n == "node" else totals.get(n) for n in names))) if totals else ""
    return _PAGE.format(title=html.escape(title), head=head, body=body, foot=foot)


def _columns(rows: Sequence[Row]) -> list[str]:
    """The columns in which any row says something new, the reasons aside."""
    named = [n for n in COLUMNS if n != _WHY and any(row[n] is not None for row in rows)]
    if "scope" in named and all(str(row["scope"]).replace(".", "_") in (row["node"], "None") for row in rows):
        named.remove("scope")  # the nodes are called like their modules
    return named or ["node", "op", "type"]


def _cell(value: Cell) -> str:
    kind = ' class="n"' if isinstance(value, int | float) else ""
    full = "" if value is None else html.escape(str(value))
    shown = html.escape(short(value)).replace(": ", ":&nbsp;")  # a role and its format stay on one line
    return f'<td{kind} title="{full}">{shown}</td>'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1f2933 }}
table {{ border-collapse: collapse }}
th, td {{ padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #e4e7eb }}
th, td.n {{ white-space: nowrap }}
th {{ position: sticky; top: 0; background: #fff; border-bottom: 2px solid #9aa5b1 }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }}
tfoot td {{ font-weight: 600; border-top: 2px solid #9aa5b1 }}
tbody tr:hover {{ background: #f5f7fa }}
</style>
<h1>{title}</h1>
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody><tfoot><tr>{foot}</tr></tfoot></table></html>
"""
