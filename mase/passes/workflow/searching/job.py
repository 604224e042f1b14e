"""A search made ready to run: everything that its options come to for this graph and these data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mase.ir.graph import Graph
from mase.passes.transforms.quantize import Quantize
from mase.passes.workflow.searching.facts import facts_of
from mase.passes.workflow.searching.measure import Bench
from mase.passes.workflow.searching.objectives import Constraint, Objective
from mase.passes.workflow.searching.space import Space
from mase.passes.workflow.searching.trial_graph import Formats
from mase.passes.workflow.stages import float_version

if TYPE_CHECKING:
    from mase.passes.workflow.searching.loop import Loop
    from mase.passes.workflow.searching.study import SharedStudy

__all__ = ["Job"]

_REFERENCE = "float"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is searched, for what, and how it is measured.

    Args:
        graph: the graph before any trial.
        space: the decisions.
        formats: from choices to a quantized graph.
        bench: from a quantized graph to its metrics.
        objectives: with their directions.
        constraints: the bounds.
        base: quantizes what the space leaves open.
    """

    graph: Graph
    space: Space
    formats: Formats
    bench: Bench
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    base: Quantize

    @property
    def shown(self) -> list[str]:
        """The metrics that tables and pictures show: objectives, constraints, and the average width."""
        names = [each.name for each in (*self.objectives, *self.constraints)]
        return list(dict.fromkeys([*names, "average_bits"]))

    def quantized(self, chosen: Mapping[str, str]) -> Graph:
        """A copy of the graph, quantized as a trial says."""
        from mase.passes.context import Context

        made = self.graph.copy()
        self.formats.apply(made, Context(made, seed=self.bench.ctx.seed), chosen)
        return made

    def loop(self, shared: SharedStudy) -> Loop:
        """What runs the trials of a study."""
        from mase.passes.workflow.searching.loop import Loop

        return Loop(
            shared=shared,
            choices=self.space.choices,
            objectives=self.objectives,
            constraints=self.constraints,
            measure=lambda chosen: self.bench.run(self.quantized(chosen)),
        )

    def reference(self, shared: SharedStudy) -> dict[str, float]:
        """The metrics of the graph in float, measured once a study."""
        known = shared.study.user_attrs.get(_REFERENCE)
        if known is None:
            graph = float_version(self.graph)
            known = {**self.bench.costs(graph), **self.bench.quality(graph)}
            shared.study.set_user_attr(_REFERENCE, known)
        for name in self.shown:
            if name in known:
                self.bench.ctx.record(name, _REFERENCE, known[name])
        return known

    # -- what makes the search what it is -----------------------------------------------------

    def name(self, sampler: str, seed: int) -> str:
        """A name for the study that no other search has."""
        from mase.runtime.digest import digest

        return f"{self.graph.name}-{digest([json.dumps([self.facts(), sampler, seed])])[:8]}"

    def facts(self) -> dict[str, str]:
        """A hash for each aspect that must be the same for trials to be compared."""
        from mase.runtime.digest import digest

        bench, header = self.bench, self.graph.header
        how = [bench.split, bench.batches, bench.task, bench.steps, bench.measure, header.passes.get("cost")]
        train = asdict(bench.train) if bench.steps else {}
        return {
            **facts_of(self.graph, bench.ctx),
            "space": digest([repr(self.space)]),
            "base": digest([json.dumps(asdict(self.base), default=str, sort_keys=True)]),
            "objectives": digest([repr(self.objectives), repr(self.constraints)]),
            "measurement": digest([json.dumps([how, train], default=str)]),
        }
