"""Writing the stages of a run, and what a bug report needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mase.ir.diagnostics import MaseError
from mase.ir.files import save
from mase.passes.instruments.base import Instrument

if TYPE_CHECKING:
    from mase.ir.graph import Graph
    from mase.passes.context import Context
    from mase.passes.grammar import Call
    from mase.passes.steps import Step

__all__ = ["DumpStages", "Reproducer"]


class DumpStages(Instrument):
    """Writes the graph before the first pass and after each, every one a run can be resumed from.

    ``mase-opt DIR/02-quantize/graph.toml`` runs the passes that followed.

    Args:
        folder: where to; it is created.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def before_pass(self, step: Step, ctx: Context) -> None:
        if step.index == 0:
            _dump(ctx.graph, (step.call, *step.rest), self._folder / "00-input")

    def after_pass(self, step: Step, ctx: Context) -> None:
        _dump(ctx.graph, step.rest, self._folder / f"{step.index + 1:02}-{step.name}")


class Reproducer(Instrument):
    """When a pass breaks, writes one file that shows it again: the graph before it, and the pass.

    What a pass reports as the user's mistake (a `MaseError` of its own) needs none.

    Args:
        folder: where to; created only if needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: Graph | None = None
        self.written: Path | None = None
        """The file, if one was needed."""

    def before_pass(self, step: Step, ctx: Context) -> None:
        self._before = ctx.graph.copy()

    def on_failure(self, step: Step, ctx: Context, error: Exception) -> None:
        from mase.passes.manager import InvalidGraphError

        if self._before is None or (
            isinstance(error, MaseError) and not isinstance(error, InvalidGraphError)
        ):
            return
        self.written = _dump(self._before, [step.call], self._folder)


def _dump(graph: Graph, rest: Sequence[Call], folder: Path) -> Path:
    # A copy, because saving makes a graph read its weights from the new file.
    graph = graph.copy()
    graph.header.pipeline = {"passes": [str(call) for call in rest]} if rest else {}
    path = folder / "graph.toml"
    save(graph, path)
    return path
