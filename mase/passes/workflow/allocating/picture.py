"""An allocation as a PNG, by matplotlib: the widths of each layer, and what other budgets would give."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mase.passes.workflow.allocating.layers import Layer
from mase.passes.workflow.searching.space import bits_of

__all__ = ["to_png"]

_COLORS = ("#1d4ed8", "#c2410c", "#0f766e", "#7e22ce", "#9aa5b1")
_INK, _GRID = "#1f2933", "#e4e7eb"


def to_png(
    title: str,
    layers: Sequence[Layer],
    chosen: Mapping[str, str],
    objective: str,
    curve: Sequence[tuple[float, float]],
    points: Sequence[tuple[str, float, float]],
    limit: float,
) -> bytes:
    """Draw both side by side.

    Args:
        title: above both.
        layers: what was decided.
        chosen: the choice of each dimension by its name.
        objective: what has a budget.
        curve: the least sensitivity for each cost.
        points: names with cost and sensitivity: of the allocation first, then of others.
        limit: the budget.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Without pyplot, which would keep the figure and might look for a screen.
    width = min(30.0, 4.0 + 0.35 * len(layers))
    figure = cast(Any, Figure(figsize=(width + 6.4, 4.8), layout="constrained"))
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    left, right = figure.subplots(1, 2, width_ratios=(width, 6.4))
    _widths(left, layers, chosen)
    _budgets(right, objective, curve, points, limit)
    for axes in (left, right):
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _widths(axes: Any, layers: Sequence[Layer], chosen: Mapping[str, str]) -> None:
    roles = list(dict.fromkeys(each.role for layer in layers for each in layer.dimensions))
    thick = 0.8 / len(roles)
    for k, role in enumerate(roles):
        bars = [
            (i - 0.4 + thick * (k + 0.5), bits_of(chosen[each.name]))
            for i, layer in enumerate(layers)
            for each in layer.dimensions
            if each.role == role
        ]
        places, bits = zip(*bars, strict=True)
        axes.bar(places, bits, width=thick * 0.9, color=_COLORS[k % len(_COLORS)], label=role)
    axes.set_xticks(range(len(layers)), [layer.name for layer in layers], rotation=90, fontsize=8)
    axes.set_ylabel("bits")
    axes.locator_params(axis="y", integer=True)
    axes.grid(axis="y", color=_GRID)
    axes.legend(frameon=False, fontsize=9, ncols=len(roles), loc="lower left", bbox_to_anchor=(0, 1))


def _budgets(
    axes: Any,
    objective: str,
    curve: Sequence[tuple[float, float]],
    points: Sequence[tuple[str, float, float]],
    limit: float,
) -> None:
    if curve:
        axes.plot(*zip(*curve, strict=True), color=_COLORS[0], marker=".", label="best by budget")
    for (name, x, y), marker in zip(points, "o" + "s^vDPX*" * len(points), strict=False):
        color, size = (_COLORS[1], 70) if name == points[0][0] else (_INK, 36)
        axes.scatter([x], [y], s=size, color=color, marker=marker, label=name, zorder=3)
    axes.axvline(limit, color=_INK, linestyle="--", linewidth=1, label="budget")
    if min(y for *_, y in (*curve, *points)) > 0:
        axes.set_yscale("log")
    axes.set_xlabel(objective.replace("_", " "))
    axes.set_ylabel("sensitivity")
    axes.grid(color=_GRID)
    axes.legend(frameon=False, fontsize=9)
