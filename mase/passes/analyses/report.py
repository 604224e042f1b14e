"""``report``: everything that is known of every node, in one table."""

from __future__ import annotations

from typing import Literal

from mase.ir.graph import Graph
from mase.passes.analyses.cost import Cost, total_cost
from mase.passes.analyses.hardware.resources import Resources
from mase.passes.analyses.output import write_file
from mase.passes.analyses.report_render import render_csv, render_html, render_table
from mase.passes.analyses.report_rows import Row, rows_of
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["ReportFormat", "report"]

ReportFormat = Literal["table", "csv", "html"]


@register_pass("report")
def report(
    graph: Graph, ctx: Context, *, file: str | None = None, format: ReportFormat | None = None
) -> None:
    """Tell of every node its op, type and formats, its cost and statistics, and why it is not quantized.

    Cost and statistics are there if ``cost`` and ``profile`` ran before.

    Args:
        graph: the graph.
        ctx: the context of the run.
        file: where to write it; printed if absent.
        format: table, csv or html; by the ending of ``file`` if absent, else a table.
    """
    title = f"{graph.name} ({graph.level})"
    rows, totals = rows_of(graph), _totals(graph)
    kind = format or _by_ending(file)
    if kind == "table":
        text = _table(title, rows, totals) if file else ""
    else:
        text = render_csv(rows) if kind == "csv" else render_html(title, rows, totals)
    if file:
        write_file(ctx, file, text, "report")
    elif text:
        ctx.console.out(text, end="", highlight=False)
    else:
        render_table(ctx.console, title, rows, totals)


def _by_ending(file: str | None) -> ReportFormat:
    if file and file.endswith(".csv"):
        return "csv"
    return "html" if file and file.endswith((".html", ".htm")) else "table"


def _table(title: str, rows: list[Row], totals: Row) -> str:
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    render_table(Console(file=text), title, rows, totals)
    return text.getvalue()


def _totals(graph: Graph) -> Row:
    if not any(Cost in node.meta for node in graph.nodes):
        return {}
    resources = [node.meta[Resources] for node in graph.nodes if Resources in node.meta]
    totals = vars(total_cost(graph.nodes)) | (vars(sum(resources, Resources())) if resources else {})
    return {name.replace("_", " "): value for name, value in totals.items()}
