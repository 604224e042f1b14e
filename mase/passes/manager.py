"""The manager: runs planned passes, verifies after each, and tells the instruments."""

from __future__ import annotations

from collections.abc import Sequence

from mase.ir import verify
from mase.ir.diagnostics import Diagnostic, MaseError
from mase.passes.context import Context
from mase.passes.instruments import Instrument
from mase.passes.steps import Step

__all__ = ["InvalidGraphError", "run_steps"]


class InvalidGraphError(MaseError):
    """A pass left a graph that the verifier rejects: a bug of the pass, not of its user."""


def run_steps(steps: Sequence[Step], ctx: Context, instruments: Sequence[Instrument] = ()) -> None:
    """Run passes on ``ctx.graph``, in place.

    Args:
        steps: the planned passes.
        ctx: the context of the run.
        instruments: who watches.

    Raises:
        MaseError: if a pass reports a problem, or an `InvalidGraphError` if it left an invalid graph.
    """
    for step in steps:
        ctx.pass_name = step.name
        try:
            _run_step(step, ctx, instruments)
        except Exception as error:
            error.add_note(f"in pass {str(step.call)!r}, number {step.index + 1} of the pipeline")
            for instrument in reversed(instruments):
                instrument.on_failure(step, ctx, error)
            raise
        finally:
            ctx.pass_name = ""


def _run_step(step: Step, ctx: Context, instruments: Sequence[Instrument]) -> None:
    for instrument in instruments:
        instrument.before_pass(step, ctx)
    before = ctx.graph.version
    step.run(ctx.graph, ctx)
    changed = ctx.graph.version != before
    ctx.changed |= changed
    _check(step, ctx, changed=changed)
    ctx.analyses.settle(step.made.preserves, before)
    ctx.graph.header.history.append(str(step.call))
    for instrument in reversed(instruments):
        instrument.after_pass(step, ctx)


def _check(step: Step, ctx: Context, *, changed: bool) -> None:
    graph, made = ctx.graph, step.made
    problems = verify.verify(graph) if changed else []
    if made.ensures is not None and graph.level != made.ensures:
        problems.append(Diagnostic(f"the graph is {graph.level}, not {made.ensures} as the pass promises"))
    if problems:
        culprit = Diagnostic(f"pass {step.name!r} left an invalid graph, a bug of the pass", at=made.place)
        raise InvalidGraphError([culprit, *problems])
