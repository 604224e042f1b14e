"""``allocate``: give each layer the widths that hurt least within a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from json import dumps
from typing import Any

from mase.ir.diagnostics import MaseError, UsageError, did_you_mean
from mase.ir.graph import Graph
from mase.passes.analyses.calibration import Split
from mase.passes.analyses.output import tracked
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.quantize import Quantize
from mase.passes.workflow.allocating.knapsack import Item
from mase.passes.workflow.allocating.layers import Layer, layers_of, merged
from mase.passes.workflow.allocating.measured import Measured
from mase.passes.workflow.allocating.plan import Allocation, Planner
from mase.passes.workflow.allocating.prices import Prices
from mase.passes.workflow.allocating.sensitivity import Probe, Sensitivity
from mase.passes.workflow.allocating.variants import Variants
from mase.passes.workflow.searching.facts import facts_of
from mase.passes.workflow.searching.measure import Bench
from mase.passes.workflow.searching.objectives import COSTS, Constraint, parse_constraint
from mase.passes.workflow.searching.space import Space, SpaceRule, bits_of, parse_space_rule
from mase.passes.workflow.searching.trial_graph import Formats, space_of
from mase.runtime.training.config import TrainConfig

__all__ = ["Allocate"]

FOLDER = "allocation"
WIDTHS = (2, 4, 8)
ROLES = ("weight", "data_in", "query", "key", "value")


@register_pass(
    "allocate", requires=("float", "quantized"), ensures="quantized", needs_data=True, changes_numbers=True
)
class Allocate:
    """Give each layer the widths that hurt least within a budget, and quantize the graph so.

    Each operand and weight is quantized alone, to each width, and what that changes is measured on batches
    of the data; these sensitivities are taken to add up. The best widths within the budget then follow
    exactly, as the solution of a multiple-choice knapsack. ``train`` goes on from the result. The
    sensitivities are kept beside the output, so the same command with another budget only solves anew.

    Args:
        widths: the widths in fixed point that the weight and the operands of each layer (of attention:
            query, key and value) may have, each for itself; 2, 4 and 8 bits if absent.
        space: in place of ``widths``, tables as of `search`: other formats, nodes, or things that decide
            together.
        objective: the cost that has a budget, by the names of `search`: ``average_bits`` of weights,
            ``memory``, ``bit_ops``, ``bits_moved``, ``lut``, ``dsp``, ``bram``.
        budget: what the graph may cost; up to 1, a share of what it costs with the widest formats.
        constraints: further bounds on costs, such as ``dsp <= 100``.
        sensitivity: ``divergence`` of the outputs, in the terms of the task; ``loss``, by how much that of
            the task rises; ``noise``, the inverse of the signal-to-noise ratio of the outputs.
        batches: how many batches to measure on.
        split: the part of the data that they are from.
        task: what is measured; by default what the data set says.
        base: options of ``quantize``: for what the space leaves open, and for calibration.
        measure: a pipeline that says the options of ``cost``, such as ``cost{reuse_factor=4}``.

    Raises:
        MaseError: if an option is wrong, or no widths keep to the budget.
    """

    widths: list[int] | None = None
    space: list[dict[str, Any]] | None = None
    objective: str = "bit_ops"
    budget: float = 0.5
    constraints: list[str] | None = None
    sensitivity: Sensitivity = "divergence"
    batches: int = 4
    split: Split = "train"
    task: str | None = None
    base: Quantize = Quantize()
    measure: str = ""

    def __post_init__(self) -> None:
        if self.widths is not None and self.space is not None:
            raise UsageError.of("both widths and space say what may vary", help="leave one of them out")
        for name in ("budget", "batches"):
            if getattr(self, name) <= 0:
                raise UsageError.of(f"{name} is {getattr(self, name)}", help="use a number above 0")
        for name in (self.objective, *(each.name for each in self._constraints)):
            if name not in COSTS:
                raise UsageError.of(f"unknown objective {name!r}", help=did_you_mean(name, COSTS))
        _ = self._rules  # so that mistakes show before anything runs

    @property
    def _rules(self) -> list[SpaceRule]:
        formats = [f"fixed<{width}>" for width in sorted(set(self.widths or WIDTHS))]
        default: list[dict[str, Any]] = [{"op": "*", **dict.fromkeys(ROLES, formats)}]
        return [parse_space_rule(table) for table in (default if self.space is None else self.space)]

    @property
    def _constraints(self) -> list[Constraint]:
        found = [parse_constraint(text) for text in self.constraints or []]
        for each in found:
            if not each.upper:
                raise UsageError.of(f"constraint {each} asks for a higher cost", help="write it with <=")
        return found

    def run(self, graph: Graph, ctx: Context) -> None:
        """Allocate widths, and quantize ``graph`` in place."""
        from mase.passes.workflow.allocating.results import Compared, Results

        space, nodes = space_of(graph, ctx, self.base, self._rules, by_hand=self.space is None)
        formats, layers = Formats(graph, ctx, self.base, nodes, space), layers_of(space)
        variants = Variants(graph.copy(), formats, ctx.seed)
        prices = Prices(variants=variants, bench=self._bench(ctx), layers=layers)
        measured = self._measured(graph, ctx, space)
        planner = self._planner(ctx, prices, measured)

        def compared(name: str, allocation: Allocation) -> Compared:
            chosen = merged(layers, allocation.chosen)
            together = measured(f"all {' '.join(chosen.values())}", lambda: variants.whole(chosen))
            return Compared(name=name, allocation=allocation, together=together)

        uniform = [(_width(each), planner.evaluate(_indices(layers, each))) for each in space.uniform()]
        widest = uniform[0][1].costs[self.objective]
        limit = self.budget * (widest if self.budget <= 1 else 1.0)
        taken = self._taken(planner, limit)
        ctx.record(self.objective, "widest", widest)
        ctx.record(self.objective, "allocated", taken.costs[self.objective])
        results = Results(
            title=f"{self.objective} of {graph.name} within {limit:,.6g}, by {self.sensitivity}",
            layers=layers,
            planner=planner,
            compared=[compared(*each) for each in (("allocated", taken), *uniform)],
            objective=self.objective,
            limit=limit,
        )
        results.show(ctx.console)
        if ctx.output_dir is not None:
            results.write(ctx, FOLDER)
        formats.apply(graph, ctx, merged(layers, taken.chosen))

    def _planner(self, ctx: Context, prices: Prices, measured: Measured) -> Planner:
        """The choices of each layer with their sensitivities and prices."""
        names = list(dict.fromkeys([self.objective, *(each.name for each in self._constraints)]))
        costs, layers = prices.of_each(), prices.layers
        _check_open(self.objective, costs)
        pairs = [(d, choice) for layer in layers for d in layer.dimensions for choice in d.choices]
        losses = {
            (d.name, choice): measured(
                f"{d.role} {choice} of {' '.join(d.nodes)}", partial(prices.variants.one, d, choice)
            )
            for d, choice in tracked(pairs, "sensitivities", ctx.console)
        }
        items = [
            [
                Item(sum(losses[pair] for pair in choice.items()), tuple(cost[name] for name in names))
                for choice, cost in zip(layer.choices, each, strict=True)
            ]
            for layer, each in zip(layers, costs, strict=True)
        ]
        return Planner(items, names, prices.of)

    def _measured(self, graph: Graph, ctx: Context, space: Space) -> Measured:
        """Measures sensitivities, but those that an earlier run knew if all was the same."""
        from mase.runtime.digest import digest

        task = self.task or ctx.task
        how = [self.sensitivity, self.batches, self.split, task, ctx.seed, asdict(self.base)]
        what = [(d.role, d.nodes) for d in space.dimensions], space.fixed
        facts = {**facts_of(graph, ctx), "measurement": digest([dumps([how, what], default=str)])}
        path = None if ctx.output_dir is None else ctx.output_dir / FOLDER / "sensitivities.jsonl"
        before = graph.copy()
        return Measured(
            path, facts, lambda: Probe(before, ctx, self.sensitivity, task, self.split, self.batches)
        )

    def _taken(self, planner: Planner, limit: float) -> Allocation:
        limits = dict.fromkeys(planner.names, math.inf) | {self.objective: limit}
        for each in self._constraints:
            limits[each.name] = min(limits[each.name], each.bound)
        taken = planner.best(list(limits.values()))
        if taken is None:
            least = ", ".join(f"{name} takes at least {planner.least(name):,.6g}" for name in limits)
            bounds = " and ".join(f"{name} <= {bound:,.6g}" for name, bound in limits.items())
            raise MaseError.of(
                f"no widths give {bounds}: {least}", help="raise the budget, or give narrower widths"
            )
        return taken

    def _bench(self, ctx: Context) -> Bench:
        """Measures costs alone."""
        return Bench(
            ctx=ctx, split="val", batches=0, task="", steps=0, train=TrainConfig(), measure=self.measure
        )


def _check_open(objective: str, costs: Sequence[Sequence[Mapping[str, float]]]) -> None:
    """Refuse a cost that no choice changes, such as cycles."""

    def varies(name: str) -> bool:
        return any(len({choice[name] for choice in layer}) > 1 for layer in costs)

    if not varies(objective):
        others = ", ".join(name for name in COSTS if varies(name))
        raise UsageError.of(f"{objective} is the same for all widths", help=f"there are {others}")


def _indices(layers: Sequence[Layer], chosen: Mapping[str, str]) -> list[int]:
    return [layer.choices.index({d.name: chosen[d.name] for d in layer.dimensions}) for layer in layers]


def _width(chosen: Mapping[str, str]) -> str:
    return f"all {max(map(bits_of, chosen.values()))} bits"
