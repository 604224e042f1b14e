"""Instruments: watchers of a run. One hook protocol serves timing, printing, dumping and checking."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mase.passes.context import Context
    from mase.passes.steps import Step

__all__ = ["Instrument"]


class Instrument:
    """Base of the watchers; override what you need.

    Hooks run before the first instrument's to the last's, and after a pass in the opposite order, so that
    the last one given sees the pass most closely.
    """

    def before_pass(self, step: Step, ctx: Context) -> None:
        """Called when the pass is about to run."""

    def after_pass(self, step: Step, ctx: Context) -> None:
        """Called when the pass has run and the graph is verified."""

    def on_failure(self, step: Step, ctx: Context, error: Exception) -> None:
        """Called when the pass, its verification or another instrument raised; ``error`` goes on after."""
