"""Checking that passes that promise to keep the numbers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mase.ir.diagnostics import MaseError
from mase.passes.instruments.base import Instrument

if TYPE_CHECKING:
    from mase.ir.graph import Graph
    from mase.passes.context import Context
    from mase.passes.steps import Step

__all__ = ["CheckNumbers", "Comparison"]

Comparison = Callable[["Graph", "Graph"], "str | None"]
"""Executes two graphs on the same inputs and says how they differ, None if they do not."""


class CheckNumbers(Instrument):
    """Compares the graph before and after every pass that changed it without saying it changes numbers.

    Args:
        compare: executes both and says how they differ.

    Example:
        >>> from mase.ir import Graph
        >>> from mase.passes import Pipeline
        >>> check = CheckNumbers(lambda before, after: None)
        >>> len(Pipeline("dce").run(Graph(), instruments=[check]))
        0
    """

    def __init__(self, compare: Comparison) -> None:
        self._compare = compare
        self._before: Graph | None = None
        self._version = -1

    def before_pass(self, step: Step, ctx: Context) -> None:
        self._before = None if step.made.changes_numbers else ctx.graph.copy()
        self._version = ctx.graph.version

    def after_pass(self, step: Step, ctx: Context) -> None:
        if self._before is None or ctx.graph.version == self._version:
            return
        difference = self._compare(self._before, ctx.graph)
        if difference is not None:
            raise MaseError.of(
                f"pass {step.name!r} changed the numbers of the graph: {difference}",
                at=step.made.place,
                help="the pass is wrong, or should say changes_numbers=True",
            )
