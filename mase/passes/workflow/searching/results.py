"""Where a search leaves what it found: a table on the console, and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mase.passes.analyses.output import as_csv, unwrapped, write_file
from mase.passes.context import Context
from mase.passes.workflow.searching.job import Job
from mase.passes.workflow.searching.outcomes import Outcome
from mase.passes.workflow.searching.panels import make_panels

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Results", "render_csv"]

_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a search found.

    Args:
        job: the search.
        outcomes: every complete trial.
        best: the one taken.
        reference: the metrics in float.
    """

    job: Job
    outcomes: Sequence[Outcome]
    best: Outcome
    reference: Mapping[str, float]

    @property
    def front(self) -> list[Outcome]:
        """The Pareto front, the best in the first objective first."""
        return self._ranked(each for each in self.outcomes if each.front)

    @property
    def shown(self) -> list[Outcome]:
        """The front, or all feasible trials if there is one objective, each of different values."""
        found: dict[tuple[float, ...], Outcome] = {}
        for each in self._ranked(o for o in self.outcomes if o.front or (self._alone and o.feasible)):
            values = tuple(each.metrics[objective.name] for objective in self.job.objectives)
            if values not in found or each.number == self.best.number:
                found[values] = each
        return list(found.values())

    @property
    def summary(self) -> str:
        """What was searched, in one line."""
        front = "" if self._alone else f"{len(self.front)} on the Pareto front, "
        return f"{len(self.outcomes)} trials, {front}best is trial {self.best.number}"

    @property
    def _alone(self) -> bool:
        return len(self.job.objectives) == 1

    def _ranked(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        first = self.job.objectives[0]
        sign = -1 if first.direction == "maximize" else 1
        return sorted(outcomes, key=lambda each: sign * each.metrics[first.name])

    def show(self, console: Console) -> None:
        """Print the best trials, with the float graph to compare with.

        Args:
            console: where to.
        """
        from rich import box
        from rich.table import Table

        shown, names = self.shown, self.job.shown
        table = Table(title=self.summary, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("trial", *names):
            table.add_column(name, justify="right")
        table.add_column("formats")
        table.add_row("float", *(_short(self.reference.get(name)) for name in names), "")
        for each in shown[:_ROWS]:
            style = "bold" if each.number == self.best.number else None
            values = (_short(each.metrics[name]) for name in names)
            table.add_row(str(each.number), *values, _formats(each), style=style)
        if len(shown) > _ROWS:
            table.caption = f"and {len(shown) - _ROWS} more"
        unwrapped(console).print(table)

    def write(self, ctx: Context, folder: str, *, write_pareto: bool) -> None:
        """Write ``pareto.csv``, ``trials.csv``, ``pareto.html``, ``pareto.png`` and graphs of the front.

        Args:
            ctx: told of each file.
            folder: where to, in the output folder.
            write_pareto: whether to write the graphs.
        """
        from mase.passes.workflow.searching.page import render_page

        job, title = self.job, f"search of {self.job.graph.name}"
        panels = make_panels(self.outcomes, self.best, job.objectives, job.shown, self.reference)
        page = render_page(title, self.summary, self.outcomes, self.best, job.shown, job.objectives, panels)
        write_file(ctx, f"{folder}/pareto.csv", render_csv(self.front), "Pareto front")
        write_file(ctx, f"{folder}/trials.csv", render_csv(self.outcomes), "every trial")
        write_file(ctx, f"{folder}/pareto.html", page, "Pareto front, to look at")
        if find_spec("matplotlib") is None:
            ctx.note("no pareto.png without matplotlib", help="pip install 'mase[search]'")
        elif panels:
            from mase.passes.workflow.searching.raster import to_png

            write_file(ctx, f"{folder}/pareto.png", to_png(title, panels), "Pareto front, drawn")
        if write_pareto:
            self._write_graphs(ctx, (ctx.output_dir or Path()) / folder / "pareto")

    def _write_graphs(self, ctx: Context, folder: Path) -> None:
        from mase.ir.files import save

        for each in self.shown:
            graph = self.job.quantized(each.chosen)
            graph.header.history.append("search")
            save(graph, folder / f"trial-{each.number}.toml")
        ctx.wrote(folder, "graphs of the Pareto front")


def render_csv(outcomes: Sequence[Outcome]) -> str:
    """A row for each trial with its metrics in full and its choices; the first line names the columns."""
    if not outcomes:
        return ""
    metrics, dimensions = list(outcomes[0].metrics), list(outcomes[0].chosen)
    rows: list[list[object]] = []
    for each in outcomes:
        values = [each.metrics.get(name, "") for name in metrics]
        flags = [str(each.front).lower(), str(each.feasible).lower(), f"{each.seconds:.3f}"]
        rows.append([each.number, *flags, *values, *(each.chosen[name] for name in dimensions)])
    return as_csv(["trial", "front", "feasible", "seconds", *metrics, *dimensions], rows)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _formats(outcome: Outcome) -> str:
    """How often each role has each format: ``weight fixed<4> ×2 fixed<8>``."""
    roles: dict[str, Counter[str]] = {}
    for name, text in outcome.chosen.items():
        roles.setdefault(name.rpartition(".")[2], Counter())[text] += 1
    return "; ".join(
        f"{role} {' '.join(f'{text} ×{n}' if n > 1 else text for text, n in sorted(counts.items()))}"
        for role, counts in roles.items()
    )
