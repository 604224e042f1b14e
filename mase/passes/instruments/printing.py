"""Printing the graph, or what became different, after passes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from mase.ir import text
from mase.ir.diff import diff
from mase.passes.instruments.base import Instrument

if TYPE_CHECKING:
    from mase.ir.graph import Graph
    from mase.passes.context import Context
    from mase.passes.steps import Step

__all__ = ["PrintDiff", "PrintIR"]


class PrintIR(Instrument):
    """Prints the graph after passes.

    Args:
        write: takes a title and the text of the graph.
        names: after which passes; after all if None.
        changed_only: only where the pass changed something.
    """

    def __init__(
        self,
        write: Callable[[str, str], None],
        names: Collection[str] | None = None,
        *,
        changed_only: bool = False,
    ) -> None:
        self._write, self._names, self._changed_only = write, names, changed_only
        self._version = -1

    def before_pass(self, step: Step, ctx: Context) -> None:
        self._version = ctx.graph.version

    def after_pass(self, step: Step, ctx: Context) -> None:
        changed = ctx.graph.version != self._version
        if (self._names is None or step.name in self._names) and (changed or not self._changed_only):
            self._write(f"after {step.call}", text.dumps(ctx.graph))


class PrintDiff(Instrument):
    """Prints what each pass changed, a line for each node or fact.

    Args:
        write: takes a title and the lines.
    """

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write
        self._before: Graph | None = None

    def before_pass(self, step: Step, ctx: Context) -> None:
        self._before = ctx.graph.copy()

    def after_pass(self, step: Step, ctx: Context) -> None:
        if self._before is not None:
            self._before.header = ctx.graph.header  # its history differs after every pass
            lines = diff(self._before, ctx.graph)
            self._write(f"{step.call} changed", "\n".join(lines) or "nothing")
