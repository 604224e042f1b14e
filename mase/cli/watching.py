"""The instruments that the command line asks for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mase.cli import render
from mase.cli.arguments import Arguments
from mase.ir.diagnostics import Severity, UsageError, did_you_mean
from mase.passes import Context, Instrument, Pipeline
from mase.passes.instruments import CheckNumbers, DumpStages, PrintDiff, PrintIR, Reproducer, Timing

if TYPE_CHECKING:
    from rich.console import Console

    from mase.passes.steps import Step

__all__ = ["Narrator", "Watch"]

_BY_WEIGHT = (Severity.NOTE, Severity.WARNING, Severity.ERROR)


class Narrator(Instrument):
    """Shows what passes have to say as soon as each has run.

    Args:
        console: where.
        least: how bad a finding must be to be shown.
    """

    def __init__(self, console: Console, least: Severity = Severity.NOTE) -> None:
        self._console = console
        self._hidden = _BY_WEIGHT[: _BY_WEIGHT.index(least)]
        self._shown = 0

    def after_pass(self, step: Step, ctx: Context) -> None:
        self.catch_up(ctx)

    def on_failure(self, step: Step, ctx: Context, error: Exception) -> None:
        self.catch_up(ctx)

    def catch_up(self, ctx: Context) -> None:
        """Show what was not shown yet."""
        new = [d for d in ctx.diagnostics[self._shown :] if d.severity not in self._hidden]
        render.show_diagnostics(self._console, new)
        self._shown = len(ctx.diagnostics)


class Watch:
    """The instruments of a run, and what they show when it is over.

    Args:
        args: the command line.
        pipeline: what will run.
        folder: where outputs go; None if there is no ``-o``.
        console: where messages go.

    Raises:
        UsageError: if ``--print-ir-after`` names a pass that will not run.
    """

    def __init__(self, args: Arguments, pipeline: Pipeline, folder: Path | None, console: Console) -> None:
        show = partial(render.show_section, console)
        temporary = Path(tempfile.gettempdir()) / f"mase-{os.getpid()}"
        self._args, self._console = args, console
        self._timing = Timing()
        self._reproducer = Reproducer((folder or temporary) / "reproducer")
        self.instruments: list[Instrument] = [
            Narrator(console, args.least),
            self._reproducer,
            *_printers(args, pipeline, show),
        ]
        if args.dump_dir is not None:
            self.instruments.append(DumpStages(args.dump_dir))
        if args.verify_numbers:
            from mase.passes.numbers import compare_graphs

            self.instruments.append(CheckNumbers(compare_graphs))
        self.instruments.append(self._timing)

    def report(self, ctx: Context) -> None:
        """Show the tables, whether the run ended well or not."""
        if self._args.stats and ctx.stats:
            render.show_stats(self._console, ctx.stats)
        if self._args.stats:
            render.show_diagnostics(self._console, ctx.rejected.values())
        elif ctx.rejected:
            names = ", ".join(dict.fromkeys(name for name, _ in ctx.rejected))
            count = len(ctx.rejected)
            nodes = f"{count} node{'' if count == 1 else 's'}"
            render.say(self._console, f"{names} left {nodes} alone; --stats shows why", "dim")
        if self._args.timing and self._timing.seconds:
            render.show_timing(self._console, self._timing.seconds)
        if ctx.metrics:
            render.show_metrics(self._console, ctx.metrics)
        for path, what in ctx.artifacts.items():
            render.say(self._console, f"wrote {path} ({what})")
        if self._reproducer.written:
            render.say(self._console, f"to see it again: mase-opt {self._reproducer.written}", "bold")


def _printers(args: Arguments, pipeline: Pipeline, show: Callable[[str, str], None]) -> list[Instrument]:
    printers: list[Instrument] = [PrintDiff(show)] if args.diff else []
    if args.print_ir_after is not None:
        printers.append(PrintIR(show, _names(args.print_ir_after, pipeline)))
    if args.print_ir_after_change:
        printers.append(PrintIR(show, changed_only=True))
    return printers


def _names(text: str, pipeline: Pipeline) -> list[str] | None:
    if text == "*":
        return None
    names, known = [name.strip() for name in text.split(",")], {call.name for call in pipeline.calls}
    for name in names:
        if name not in known:
            raise UsageError.of(
                f"--print-ir-after: the pipeline has no pass {name!r}", help=did_you_mean(name, known)
            )
    return names
