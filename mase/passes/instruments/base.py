"""The hooks of an instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mase.passes.context import Context
    from mase.passes.steps import Step

__all__ = ["Instrument"]


class Instrument:
    """Base of the watchers of a run; override the hooks you need.

    Before a pass the first instrument is told first, after it the last, so that they enclose the pass
    like brackets and the last one given sees it most closely.

    Example:
        >>> from mase.ir import Graph
        >>> from mase.passes import Pipeline
        >>> class Names(Instrument):
        ...     def after_pass(self, step: Step, ctx: Context) -> None:
        ...         print("ran", step.call)
        >>> _ = Pipeline("dce,cse").run(Graph(), instruments=[Names()])
        ran dce
        ran cse
    """

    def before_pass(self, step: Step, ctx: Context) -> None:
        """The pass is about to run."""

    def after_pass(self, step: Step, ctx: Context) -> None:
        """The pass has run and the graph is verified."""

    def on_failure(self, step: Step, ctx: Context, error: Exception) -> None:
        """The pass, the verifier or another instrument raised ``error``, which goes on afterwards."""
