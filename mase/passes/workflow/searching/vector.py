"""A picture of a search as SVG, for the page: pointing at a trial shows what it is."""

from __future__ import annotations

import math
from html import escape

from mase.passes.workflow.searching.panels import COLORS, Panel, Point, padded

__all__ = ["to_svg"]

_WIDTH, _HEIGHT = 620, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 20, 55


def to_svg(panel: Panel) -> str:
    """Draw one panel.

    Args:
        panel: with one point at least.
    """
    across = _Scale([p.x for p in panel.points], _LEFT, _WIDTH - _RIGHT)
    heights = [p.y for p in panel.points] + ([] if panel.reference is None else [panel.reference])
    up = _Scale(heights, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_axes(panel, across, up)]
    if panel.reference is not None:
        y = up.at(panel.reference)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#1f2933" stroke-dasharray="5 4"/>'
            f'<text x="{_WIDTH - _RIGHT}" y="{y - 5:.1f}" text-anchor="end">float</text>'
        )
    if len(panel.front) > 1:
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in panel.front)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS["front"]}" opacity=".6"/>')
    parts += [_dot(point, panel, across, up) for point in panel.points]
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n{body}\n</svg>'


class _Scale:
    """From values to places in the picture."""

    def __init__(self, values: list[float], start: float, end: float) -> None:
        self.low, self.high = padded(values)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Some four to eight round numbers."""
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [i * step for i in range(first, last + 1)]


def _axes(panel: Panel, across: _Scale, up: _Scale) -> list[str]:
    bottom, parts = _HEIGHT - _BOTTOM, list[str]()
    for value in across.ticks():
        x = across.at(value)
        parts.append(
            f'<path d="M{x:.1f} {_TOP}V{bottom}" class="grid"/>'
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:.6g}</text>'
        )
    for value in up.ticks():
        y = up.at(value)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" class="grid"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>'
        )
    middle, half = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + bottom) / 2
    x, y = (escape(name.replace("_", " ")) for name in (panel.x, panel.y))
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{x}</text>')
    turned = f'transform="rotate(-90 16 {half})"'
    parts.append(f'<text x="16" y="{half}" text-anchor="middle" {turned}>{y}</text>')
    return parts


def _dot(point: Point, panel: Panel, across: _Scale, up: _Scale) -> str:
    words = escape(f"trial {point.number}: {panel.y} {point.y:.4g}, {panel.x} {point.x:.4g}")
    radius = 7 if point.kind == "best" else 4.5
    return (
        f'<a href="#trial-{point.number}"><circle cx="{across.at(point.x):.1f}" cy="{up.at(point.y):.1f}" '
        f'r="{radius}" fill="{COLORS[point.kind]}"><title>{words}</title></circle></a>'
    )
