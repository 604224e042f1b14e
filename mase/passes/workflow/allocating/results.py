"""Where an allocation leaves what it found: a table on the console, and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mase.passes.analyses.output import as_csv, unwrapped, write_file
from mase.passes.context import Context
from mase.passes.workflow.allocating.layers import Layer, merged
from mase.passes.workflow.allocating.plan import Allocation, Planner

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Compared", "Results"]

_ROWS = 60


@dataclass(frozen=True, kw_only=True)
class Compared:
    """An allocation beside others.

    Args:
        name: what to call it.
        allocation: its sensitivities summed up, and its costs.
        together: what was measured with everything quantized at once.
    """

    name: str
    allocation: Allocation
    together: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was allocated, and what to compare it with.

    Args:
        title: what was allocated for what.
        layers: what was decided.
        planner: their sensitivities and prices.
        compared: the allocation that is taken, then those of one width everywhere.
        objective: what has a budget.
        limit: the budget.
    """

    title: str
    layers: Sequence[Layer]
    planner: Planner
    compared: Sequence[Compared]
    objective: str
    limit: float

    @property
    def taken(self) -> Allocation:
        """The allocation."""
        return self.compared[0].allocation

    def show(self, console: Console) -> None:
        """Print the formats of each layer, and how the allocation compares.

        Args:
            console: where to.
        """
        from rich import box
        from rich.table import Table

        console = unwrapped(console)
        roles = list(dict.fromkeys(each.role for layer in self.layers for each in layer.dimensions))
        table = Table(title=self.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("layer")
        for name in (*roles, "sensitivity", self.objective):
            table.add_column(name, justify="right")
        for layer, items, i in list(zip(self.layers, self.planner.layers, self.taken.chosen, strict=True))[
            :_ROWS
        ]:
            formats = {d.role: layer.choices[i][d.name] for d in layer.dimensions}
            figures = (f"{items[i].loss:.3g}", f"{items[i].prices[0]:,.6g}")
            table.add_row(layer.name, *(formats.get(role, "") for role in roles), *figures)
        if len(self.layers) > _ROWS:
            table.caption = f"and {len(self.layers) - _ROWS} more layers"
        console.print(table)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("", self.objective, "of the budget", "sensitivities", "together"):
            table.add_column(name, justify="right")
        for each in self.compared:
            cost, loss = each.allocation.costs[self.objective], each.allocation.loss
            figures = (f"{cost:,.6g}", f"{cost / self.limit:.1%}", f"{loss:.3g}", f"{each.together:.3g}")
            table.add_row(each.name, *figures, style="bold" if each is self.compared[0] else None)
        console.print(table)

    def write(self, ctx: Context, folder: str) -> None:
        """Write ``layers.csv``, ``budgets.csv`` and ``allocation.png``.

        Args:
            ctx: told of each file.
            folder: where to, in the output folder.
        """
        curve = self.planner.curve(self.taken)
        write_file(ctx, f"{folder}/layers.csv", self._layers(), "what each choice costs and hurts")
        budgets = as_csv((self.objective, "sensitivity"), curve)
        write_file(ctx, f"{folder}/budgets.csv", budgets, "the least sensitivity by budget")
        if find_spec("matplotlib") is None:
            ctx.note("no allocation.png without matplotlib", help="pip install 'mase[plot]'")
            return
        from mase.passes.workflow.allocating.picture import to_png

        points = [(e.name, e.allocation.costs[self.objective], e.allocation.loss) for e in self.compared]
        chosen = merged(self.layers, self.taken.chosen)
        picture = to_png(self.title, self.layers, chosen, self.objective, curve, points, self.limit)
        write_file(ctx, f"{folder}/allocation.png", picture, "widths by layer, sensitivity by budget")

    def _layers(self) -> str:
        """A row for each choice of each layer."""
        rows: list[tuple[object, ...]] = []
        for layer, items, taken in zip(self.layers, self.planner.layers, self.taken.chosen, strict=True):
            for i, (choice, item) in enumerate(zip(layer.choices, items, strict=True)):
                formats = " ".join(f"{d.role}={choice[d.name]}" for d in layer.dimensions)
                rows.append((layer.name, formats, item.loss, *item.prices, str(i == taken).lower()))
        return as_csv(("layer", "formats", "sensitivity", *self.planner.names, "taken"), rows)
