"""From sensitivities and prices to an allocation that keeps to its limits as the whole graph costs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mase.passes.workflow.allocating.knapsack import Item, loss_of, price_of, solve

__all__ = ["Allocation", "Planner"]

_ROUNDS = 12
_POINTS = 24
_ROUNDING = 1e-12  # of sums of shares


@dataclass(frozen=True)
class Allocation:
    """A choice for each layer.

    Args:
        chosen: the index of each layer's choice.
        loss: the sum of their sensitivities.
        costs: what the whole graph costs.
    """

    chosen: tuple[int, ...]
    loss: float
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Planner:
    """Solves the knapsack, and looks at what its solutions really cost.

    The price of a layer is what it costs beside others like it; where costs of layers hang together, the
    sum of prices misses the cost of the graph by some per cent. So the limits of the knapsack are moved by
    what the last solution missed until a solution is met again.

    Args:
        layers: the choices of each layer, with their prices by the names.
        names: of what is limited.
        costs: what the whole graph costs with a choice for each layer.
    """

    layers: Sequence[Sequence[Item]]
    names: Sequence[str]
    costs: Callable[[Sequence[int]], Mapping[str, float]]

    def evaluate(self, chosen: Sequence[int]) -> Allocation:
        """An allocation with what it costs."""
        return Allocation(tuple(chosen), loss_of(self.layers, chosen), self.costs(chosen))

    def best(self, limits: Sequence[float]) -> Allocation | None:
        """The allocation with the least loss that was found within the limits; None if there is none.

        Args:
            limits: for each name what the graph may cost.
        """
        found: dict[tuple[int, ...], Allocation] = {}
        start = self.evaluate([min(range(len(each)), key=lambda i: each[i].prices) for each in self.layers])
        found[start.chosen] = start
        missed = self._missed(start)
        for _ in range(_ROUNDS):
            moved = [limit - miss for limit, miss in zip(limits, missed, strict=True)]
            chosen = solve(self.layers, moved)
            if chosen is None or tuple(chosen) in found:
                break
            found[tuple(chosen)] = self.evaluate(chosen)
            missed = self._missed(found[tuple(chosen)])
        kept = [each for each in found.values() if self._keeps(each, limits)]
        return min(kept, key=lambda each: each.loss, default=None)

    def least(self, name: str) -> float:
        """What the graph costs at least, in the terms of one name."""
        k = self.names.index(name)
        chosen = [min(range(len(each)), key=lambda i: each[i].prices[k]) for each in self.layers]
        return self.costs(chosen)[name]

    def curve(self, missed_by: Allocation) -> list[tuple[float, float]]:
        """The least loss for budgets of the first name, each with the cost that it takes.

        Args:
            missed_by: an allocation whose cost says how much prices miss.
        """
        first = [[Item(item.loss, item.prices[:1]) for item in each] for each in self.layers]
        low = sum(min(item.prices[0] for item in each) for each in first)
        high = sum(max(item.prices[0] for item in each) for each in first)
        miss = self._missed(missed_by)[0]
        points: set[tuple[float, float]] = set()
        for i in range(_POINTS + 1):
            chosen = solve(first, [low + (high - low) * i / _POINTS], gap=1e-3)
            if chosen is not None:
                points.add((price_of(first, chosen)[0] + miss, loss_of(first, chosen)))
        return sorted(points)

    def _missed(self, found: Allocation) -> list[float]:
        """By how much the graph costs more than the prices sum up to."""
        prices = price_of(self.layers, found.chosen)
        return [found.costs[name] - price for name, price in zip(self.names, prices, strict=True)]

    def _keeps(self, found: Allocation, limits: Sequence[float]) -> bool:
        pairs = zip(self.names, limits, strict=True)
        return all(found.costs[name] <= limit * (1 + _ROUNDING) for name, limit in pairs)
