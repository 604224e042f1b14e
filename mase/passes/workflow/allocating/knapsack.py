"""The multiple-choice knapsack: one choice for each layer, within every limit, at the least loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Item", "loss_of", "price_of", "solve"]

_SCALE = 1e4  # the solver takes losses that differ by 1e-6 for equal, and ours are scaled to 1
_WIDER = 4e-6  # it is right about sums to some 1e-6 of a limit: it gets more, and what exceeds is refused
_ROUNDING = 1e-12  # of sums


@dataclass(frozen=True)
class Item:
    """What one choice of a layer means.

    Args:
        loss: its share of what is to be small; of any sign.
        prices: its share of each limit.
    """

    loss: float
    prices: tuple[float, ...]


def loss_of(layers: Sequence[Sequence[Item]], chosen: Sequence[int]) -> float:
    """The sum of the losses of the choices."""
    return sum(items[i].loss for items, i in zip(layers, chosen, strict=True))


def price_of(layers: Sequence[Sequence[Item]], chosen: Sequence[int]) -> tuple[float, ...]:
    """The sum of the prices of the choices, for each limit."""
    rows = [items[i].prices for items, i in zip(layers, chosen, strict=True)]
    return tuple(sum(column) for column in zip(*rows, strict=True))


def solve(layers: Sequence[Sequence[Item]], limits: Sequence[float], *, gap: float = 0.0) -> list[int] | None:
    """The choice for each layer with the least sum of losses; of equal ones no dearer than need be.

    Solved exactly, as an integer program by HiGHS (`scipy.optimize.milp`); so does HAWQ-V3
    (arXiv:2011.10680) allocate bits.

    Args:
        layers: the choices of each layer.
        limits: what the prices may sum up to.
        gap: how far from the optimum the sum may be, as a share of it.

    Returns:
        The index of the choice of each layer, or None if no combination keeps to the limits.

    Example:
        >>> wide, narrow = Item(0.0, (8,)), Item(1.0, (2,))
        >>> solve([[wide, narrow], [wide, Item(0.3, (3,))]], [12])
        [0, 1]
    """
    open_ = _affordable(layers, limits)
    refused: list[list[int]] = []
    while all(open_) and (picked := _integer_program(layers, open_, limits, refused, gap)) is not None:
        chosen = [mine[i] for mine, i in zip(open_, picked, strict=True)]
        if _keeps(price_of(layers, chosen), limits):
            return [_no_dearer(items, i) for items, i in zip(layers, chosen, strict=True)]
        refused.append(picked)
    return None


def _keeps(prices: Sequence[float], limits: Sequence[float]) -> bool:
    return all(p <= limit + _ROUNDING * abs(limit) for p, limit in zip(prices, limits, strict=True))


def _affordable(layers: Sequence[Sequence[Item]], limits: Sequence[float]) -> list[list[int]]:
    """The items that can be paid if all other layers take the cheapest."""
    least = [[min(item.prices[k] for item in items) for k in range(len(limits))] for items in layers]
    total = [sum(column) for column in zip(*least, strict=True)]
    return [
        [
            i
            for i, item in enumerate(items)
            if _keeps([t - m + p for t, m, p in zip(total, mine, item.prices, strict=True)], limits)
        ]
        for items, mine in zip(layers, least, strict=True)
    ]


def _integer_program(
    layers: Sequence[Sequence[Item]],
    open_: Sequence[Sequence[int]],
    limits: Sequence[float],
    refused: Sequence[Sequence[int]],
    gap: float,
) -> list[int] | None:
    """The best of the open items of each layer but for what was refused, within limits that are a bit wider.

    An item is a number that is 0 or 1, and those of a layer sum up to 1.
    """
    import numpy as np
    from scipy import optimize, sparse

    library, sparse_arrays = cast(Any, optimize), cast(Any, sparse)
    items = [layers[k][i] for k, mine in enumerate(open_) for i in mine]
    starts = np.cumsum([0, *(len(mine) for mine in open_)])
    owner = np.repeat(np.arange(len(open_)), np.diff(starts))
    one_each = sparse_arrays.csr_array((np.ones(len(items)), (owner, np.arange(len(items)))))
    prices = np.array([item.prices for item in items]).T / np.array([[limit or 1.0] for limit in limits])
    wider = np.array([bool(limit) for limit in limits]) + _WIDER
    constraints = [
        library.LinearConstraint(one_each, 1, 1),
        library.LinearConstraint(prices, -np.inf, wider),
    ]
    for picked in refused:
        row = np.zeros(len(items))
        row[starts[:-1] + np.array(picked)] = 1
        constraints.append(library.LinearConstraint(row, -np.inf, len(open_) - 1))
    losses = np.array([item.loss for item in items])
    found = library.milp(
        losses / (float(np.abs(losses).max()) or 1.0) * _SCALE,
        integrality=np.ones(len(items)),
        bounds=library.Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": gap},
    )
    if found.x is None:
        return None
    return [int(part.argmax()) for part in np.split(found.x, starts[1:-1])]


def _no_dearer(items: Sequence[Item], chosen: int) -> int:
    """The cheapest of the choices that are as good as the chosen one in everything."""
    best = items[chosen]
    as_good = (
        i
        for i, item in enumerate(items)
        if item.loss <= best.loss + _ROUNDING * abs(best.loss)
        and all(p <= q for p, q in zip(item.prices, best.prices, strict=True))
    )
    return min(as_good, key=lambda i: (items[i].prices, items[i].loss, i))
