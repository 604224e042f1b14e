"""The multiple-choice knapsack: one choice for each layer, within every limit, at the least loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Item", "loss_of", "price_of", "solve"]

_SCALE = 1e4  # the solver takes losses that differ by 1e-6 for equal, and ours are scaled to 1
_TIGHTER = (0.0, 2e-6, 1e-5, 1e-4)  # it also takes sums that exceed a limit by 1e-6 of it for equal
_SAME = 1e-12


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
    for margin in _TIGHTER:
        tighter = [limit - margin * abs(limit) for limit in limits]
        chosen = _integer_program(layers, tighter, gap)
        if chosen is None:
            return None
        if all(
            p <= limit + _SAME * abs(limit) for p, limit in zip(price_of(layers, chosen), limits, strict=True)
        ):
            return [_no_dearer(items, i) for items, i in zip(layers, chosen, strict=True)]
    return None


def _integer_program(
    layers: Sequence[Sequence[Item]], limits: Sequence[float], gap: float
) -> list[int] | None:
    import numpy as np
    from scipy import optimize, sparse

    library: Any = optimize
    items = [item for layer in layers for item in layer]
    losses = np.array([item.loss for item in items])
    largest = float(np.abs(losses).max()) or 1.0
    units = [
        max(abs(limit), *(abs(item.prices[k]) for item in items)) or 1.0 for k, limit in enumerate(limits)
    ]
    prices = np.array([[item.prices[k] / unit for item in items] for k, unit in enumerate(units)])
    owner = np.repeat(np.arange(len(layers)), [len(layer) for layer in layers])
    one_each = cast(Any, sparse).csr_array((np.ones(len(items)), (owner, np.arange(len(items)))))
    found = library.milp(
        losses / largest * _SCALE,
        integrality=np.ones(len(items)),
        bounds=library.Bounds(0, 1),
        constraints=[
            library.LinearConstraint(one_each, 1, 1),
            library.LinearConstraint(prices, -np.inf, np.array(limits) / np.array(units)),
        ],
        options={"mip_rel_gap": gap},
    )
    if found.x is None:
        return None
    ends = np.cumsum([len(layer) for layer in layers])[:-1]
    return [int(part.argmax()) for part in np.split(found.x, ends)]


def _no_dearer(items: Sequence[Item], chosen: int) -> int:
    """The cheapest of the choices that are as good as the chosen one in everything."""
    best = items[chosen]
    as_good = (
        i
        for i, item in enumerate(items)
        if item.loss <= best.loss + _SAME * abs(best.loss)
        and all(p <= q for p, q in zip(item.prices, best.prices, strict=True))
    )
    return min(as_good, key=lambda i: (items[i].prices, items[i].loss, i))
