"""How far a search is, on a terminal: a bar, the trials, and the best so far."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mase.passes.workflow.searching.objectives import Objective
from mase.passes.workflow.searching.outcomes import outcomes_of, pick_best

if TYPE_CHECKING:
    from rich.console import Console

    from mase.passes.workflow.searching.loop import Watcher
    from mase.passes.workflow.searching.study import SharedStudy

__all__ = ["best_so_far", "progress"]


def best_so_far(shared: SharedStudy, objectives: Sequence[Objective], tolerance: float) -> str:
    """A few words on the best trial of a study."""
    best = pick_best(outcomes_of(shared.study), objectives, tolerance)
    if best is None:
        return "no trial so far"
    values = ", ".join(f"{each.name} {best.metrics[each.name]:.4g}" for each in objectives)
    return f"best {values} (trial {best.number})"


@contextmanager
def progress(console: Console, objectives: Sequence[Objective], tolerance: float) -> Generator[Watcher]:
    """A bar for as long as the context lasts; nothing where the console is no terminal.

    Args:
        console: where to.
        objectives: of the search.
        tolerance: which trial of the front is called the best, see `pick_best`.
    """
    if not console.is_terminal:
        yield _ignore
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    columns = (TextColumn("search"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), text)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def watch(shared: SharedStudy) -> None:
            done = min(shared.done(), shared.total)
            words = best_so_far(shared, objectives, tolerance)
            bar.update(task, total=shared.total, completed=done, description=words)

        yield watch


def _ignore(shared: SharedStudy) -> None:
    """Say nothing."""
