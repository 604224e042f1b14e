"""What ``ch`` writes beside the graph: what was measured, and what became of the layers."""

from __future__ import annotations

from pathlib import Path

from mase.cli.render import show_table
from mase.passes import Context
from mase.passes.analyses.output import as_csv, write_file
from mase.passes.analyses.report_render import render_csv, render_html
from mase.passes.instruments.changes import COLUMNS, Changes, count_changes

__all__ = ["write_changes", "write_metrics"]


def write_metrics(ctx: Context, folder: Path) -> None:
    """Write ``results.csv`` with a row for each measurement.

    Args:
        ctx: the run.
        folder: where to.
    """
    rows = [(name, stage, value) for name, stages in ctx.metrics.items() for stage, value in stages.items()]
    text = as_csv(["metric", "stage", "value"], rows)
    write_file(ctx, _name(ctx, folder, "results.csv"), text, "what was measured")


def write_changes(ctx: Context, changes: Changes, folder: Path) -> None:
    """Print what became of the types of ops; write each node's fate as ``summary.csv`` and ``summary.html``.

    Args:
        ctx: the run.
        changes: what watched it.
        folder: where to.
    """
    rows = changes.rows(ctx.graph)
    counts = count_changes(rows)
    shown = [[*(row[key] or "-" for key in ("before", "after", "change")), row["nodes"]] for row in counts]
    show_table(ctx.console, "what changed", ["op before", "op after", "change", "nodes"], shown)
    ran = ", ".join(step.partition("{")[0] for step in ctx.graph.header.history)
    title = f"What changed in {ctx.graph.name}: {ran}"
    page = render_html(title, rows, {}, COLUMNS)
    write_file(ctx, _name(ctx, folder, "summary.csv"), render_csv(rows, COLUMNS), "what changed")
    write_file(ctx, _name(ctx, folder, "summary.html"), page, "what changed, to look at")


def _name(ctx: Context, folder: Path, file: str) -> str:
    return str((folder / file).relative_to(ctx.output_dir or Path()))
