"""What the pictures of a search show, before it is drawn: points, the front, the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mase.passes.workflow.searching.objectives import Objective
from mase.passes.workflow.searching.outcomes import Outcome

__all__ = ["COLORS", "LABELS", "Kind", "Panel", "Point", "make_panels", "padded"]

Kind = Literal["best", "front", "other", "infeasible"]

COLORS: dict[Kind, str] = {
    "best": "#c2410c",
    "front": "#1d4ed8",
    "other": "#9aa5b1",
    "infeasible": "#e4d3d3",
}
"""The colour of each kind of trial, in both pictures."""

LABELS: dict[Kind, str] = {
    "best": "best",
    "front": "Pareto front",
    "other": "other trials",
    "infeasible": "beyond a constraint",
}
"""What each kind of trial is called in both."""


@dataclass(frozen=True)
class Point:
    """A trial."""

    number: int
    x: float
    y: float
    kind: Kind


@dataclass(frozen=True)
class Panel:
    """One picture.

    Args:
        x: the metric from left to right.
        y: the metric from bottom to top.
        points: the trials, the best last so that it lies on top.
        front: the numbers ``(x, y)`` of the Pareto front from left to right, to be joined.
        reference: the value of ``y`` in float; None if there is none.
    """

    x: str
    y: str
    points: tuple[Point, ...]
    front: tuple[tuple[float, float], ...]
    reference: float | None


def make_panels(
    outcomes: Sequence[Outcome],
    best: Outcome,
    objectives: Sequence[Objective],
    others: Sequence[str],
    reference: Mapping[str, float],
) -> list[Panel]:
    """The first objective against each other one; against the other metrics shown if it is alone.

    Args:
        outcomes: every complete trial.
        best: the one taken.
        objectives: with their directions.
        others: further metrics.
        reference: the metrics in float.
    """
    y = objectives[0].name
    names = [each.name for each in objectives[1:]] or [name for name in others if name != y]
    joined = len(objectives) == 2
    return [_panel(outcomes, best, x, y, reference.get(y), joined=joined) for x in names]


def _panel(
    outcomes: Sequence[Outcome], best: Outcome, x: str, y: str, reference: float | None, *, joined: bool
) -> Panel:
    order: dict[Kind, int] = {"infeasible": 0, "other": 1, "front": 2, "best": 3}
    points = [
        Point(each.number, each.metrics[x], each.metrics[y], _kind(each, best))
        for each in outcomes
        if math.isfinite(each.metrics[x]) and math.isfinite(each.metrics[y])
    ]
    points.sort(key=lambda point: order[point.kind])
    front = (
        {(p.x, p.y) for p in points if p.kind in ("front", "best")} if joined else set[tuple[float, float]]()
    )
    return Panel(x, y, tuple(points), tuple(sorted(front)), reference)


def _kind(outcome: Outcome, best: Outcome) -> Kind:
    if outcome.number == best.number:
        return "best"
    if not outcome.feasible:
        return "infeasible"
    return "front" if outcome.front else "other"


def padded(values: Sequence[float]) -> tuple[float, float]:
    """A range a little wider than the values.

    Example:
        >>> padded([0.0, 1.0])
        (-0.06, 1.06)
    """
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin
