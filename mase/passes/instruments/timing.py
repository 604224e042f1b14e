"""How long each pass took."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from mase.passes.instruments.base import Instrument

if TYPE_CHECKING:
    from mase.passes.context import Context
    from mase.passes.steps import Step

__all__ = ["Timing"]


class Timing(Instrument):
    """Measures every pass; give it last, so that it counts no other instrument's work.

    Example:
        >>> from mase.ir import Graph
        >>> from mase.passes import Pipeline
        >>> timing = Timing()
        >>> _ = Pipeline("dce,cse").run(Graph(), instruments=[timing])
        >>> [name for name, seconds in timing.seconds]
        ['dce', 'cse']
    """

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        """The name and duration of each pass, verification included, in the order of the run."""
        self._start = 0.0

    def before_pass(self, step: Step, ctx: Context) -> None:
        self._start = perf_counter()

    def after_pass(self, step: Step, ctx: Context) -> None:
        self.seconds.append((step.name, perf_counter() - self._start))

    def on_failure(self, step: Step, ctx: Context, error: Exception) -> None:
        self.after_pass(step, ctx)
