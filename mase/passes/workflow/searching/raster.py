"""The pictures of a search as a PNG, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

from mase.passes.workflow.searching.panels import COLORS, LABELS, Panel, padded

__all__ = ["to_png"]


def to_png(title: str, panels: Sequence[Panel]) -> bytes:
    """Draw the panels side by side.

    Args:
        title: above all of them.
        panels: at least one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Without pyplot, which would keep the figure and might look for a screen.
    figure = cast(Any, Figure(figsize=(6.4 * len(panels), 4.6), layout="constrained"))
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Any, panel: Panel) -> None:
    for layer, (kind, label) in enumerate(LABELS.items()):
        mine = [point for point in panel.points if point.kind == kind]
        if mine:
            x, y, size = [p.x for p in mine], [p.y for p in mine], 70 if kind == "best" else 36
            axes.scatter(x, y, s=size, color=COLORS[kind], label=label, zorder=9 - layer)
    if len(panel.front) > 1:
        axes.plot(*zip(*panel.front, strict=True), color=COLORS["front"], linewidth=1.2, alpha=0.6, zorder=2)
    if panel.reference is not None:
        axes.axhline(panel.reference, color="#1f2933", linestyle="--", linewidth=1, label="float")
    axes.set_xlim(*padded([p.x for p in panel.points]))
    axes.set_xlabel(panel.x.replace("_", " "))
    axes.set_ylabel(panel.y.replace("_", " "))
    axes.grid(color="#e4e7eb", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
