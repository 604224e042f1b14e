"""Pipelines: passes in a row, written as text or built in Python."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mase.ir import verify
from mase.ir.diagnostics import MaseError, Severity
from mase.ir.graph import Graph, Header
from mase.ir.op import Level
from mase.passes.context import Context
from mase.passes.grammar import Call, parse_pipeline, print_pipeline
from mase.passes.inputs import adopt_annotations
from mase.passes.instruments import Instrument
from mase.passes.manager import run_steps
from mase.passes.steps import Locate, Step, check_levels, plan

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule
    from rich.console import Console

__all__ = ["Pipeline"]

_LOG = logging.getLogger("mase")


class Pipeline:
    """Passes to run in a row.

    Args:
        passes: the text of a pipeline, or a list of such texts.

    Raises:
        UsageError: if the text is malformed, showing where.

    Example:
        >>> pipeline = Pipeline("dce , cse{ }")
        >>> str(pipeline), len(pipeline)
        ('dce,cse', 2)
        >>> Pipeline(["dce", "cse"]) == pipeline
        True
        >>> Pipeline("dca").run(Graph())
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.UsageError: error: unknown pass 'dca'
          help: did you mean 'dce'?
    """

    def __init__(self, passes: str | Sequence[str]) -> None:
        texts = [passes] if isinstance(passes, str) else passes
        self.calls: tuple[Call, ...] = tuple(call for text in texts for call in parse_pipeline(text))

    def __str__(self) -> str:
        return print_pipeline(self.calls)

    def __repr__(self) -> str:
        return f"Pipeline({str(self)!r})"

    def __len__(self) -> int:
        return len(self.calls)

    def __eq__(self, other: object) -> bool:
        return self.calls == other.calls if isinstance(other, Pipeline) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def check(self, header: Header, level: Level, *, has_data: bool, at: Locate | None = None) -> list[Step]:
        """Find what can be known to be wrong before anything runs.

        Args:
            header: the header of the graph, whose ``[passes]`` tables hold options.
            level: the level of the graph.
            has_data: whether there is a data set.
            at: where a ``[passes]`` table sets an option, for messages.

        Returns:
            The planned steps.

        Raises:
            MaseError: telling every problem at once; a `UsageError` if the pipeline itself is wrong.
        """
        steps = plan(self.calls, header.passes, at)
        problems = check_levels(steps, level, has_data=has_data)
        if problems:
            raise MaseError(problems)
        return steps

    def run(
        self,
        graph: Graph,
        data: LightningDataModule | None = None,
        *,
        seed: int = 0,
        output_dir: str | Path | None = None,
        console: Console | None = None,
        instruments: Sequence[Instrument] = (),
    ) -> Graph:
        """Run the passes on ``graph``, in place; if one fails, the graph is as it was before.

        Args:
            graph: the graph.
            data: the data set; that of the graph's ``[data]`` if absent.
            seed: seeds everything random.
            output_dir: the folder for files that passes write.
            console: where passes print tables; standard error if absent.
            instruments: who watches the run.

        Returns:
            The same graph. Warnings go to the logger ``mase``.

        Raises:
            MaseError: if something is wrong with the pipeline, the graph, the data or the result of a pass.

        Example:
            >>> from mase.ir import parse_type
            >>> from mase.ir.ops import core, nn
            >>> graph = Graph("tiny")
            >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
            >>> unused = graph.add(nn.Relu(), x)
            >>> graph.outputs = [graph.add(nn.Tanh(), x)]
            >>> len(graph), len(Pipeline("dce").run(graph)), len(graph)
            (3, 2, 2)
        """
        folder = Path(output_dir) if output_dir is not None else None
        ctx = Context(graph, data=data, seed=seed, output_dir=folder, console=console)
        before = graph.copy()
        try:
            self.run_in(ctx, instruments)
        except BaseException:
            graph.become(before)
            raise
        for diagnostic in ctx.diagnostics:
            if diagnostic.severity is Severity.WARNING:
                _LOG.warning("%s", diagnostic)
        return ctx.graph

    def run_in(self, ctx: Context, instruments: Sequence[Instrument] = ()) -> None:
        """Run the passes on ``ctx.graph`` in place, for who wants the metrics and notes in ``ctx`` too.

        Raises:
            MaseError: as `run`.
        """
        graph = ctx.graph
        steps = self.check(graph.header, graph.level, has_data=ctx.has_data)
        adopt_annotations(graph)  # planning imported the passes, and with them the classes they annotate with
        verify.check(graph)
        if any(step.made.needs_data for step in steps):
            ctx.data  # noqa: B018  # a wrong [data] table shows now, not after an hour of other passes
        run_steps(steps, ctx, instruments)
