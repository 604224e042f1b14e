"""A picture before it is a file: rectangles, curves and text, in pixels, y downwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mase.passes.analyses.drawing.layout import Rect

__all__ = ["Box", "Curve", "Label", "Scene", "Shape", "text_width"]

_MONO, _BOLD, _SANS = 0.602, 0.62, 0.54  # the width of a character over its size, on average


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle with round corners.

    Args:
        rect: where.
        fill: colour of the inside.
        stroke: colour of the line.
        radius: of the corners, in pixels.
        dashed: whether the line is.
        tip: what a reader sees who points at it.
    """

    rect: Rect
    fill: str
    stroke: str
    radius: float = 6.0
    dashed: bool = False
    tip: str = ""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A line of text.

    Args:
        x: the left end, or the middle if ``centred``.
        y: the base line.
        text: what it says.
        size: of the font, in pixels.
        colour: of the text.
        bold: whether it is.
        mono: whether all characters have one width.
        centred: whether ``x`` is the middle.
    """

    x: float
    y: float
    text: str
    size: float
    colour: str
    bold: bool = False
    mono: bool = False
    centred: bool = True


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A smooth line downwards through some points, with an arrow at its end.

    Args:
        points: at least two.
        colour: of line and arrow.
    """

    points: Sequence[tuple[float, float]]
    colour: str

    def beziers(self) -> list[tuple[float, float, float, float, float, float]]:
        """One cubic piece from each point to the next: two controls and the end, vertical at both ends."""
        pieces: list[tuple[float, float, float, float, float, float]] = []
        for (x0, y0), (x1, y1) in pairwise(self.points):
            bend = (y1 - y0) / 2
            pieces.append((x0, y0 + bend, x1, y1 - bend, x1, y1))
        return pieces


Shape = Box | Label | Curve


@dataclass
class Scene:
    """Shapes in the order of painting.

    Args:
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        title: what it shows.
        shapes: what is on it.
    """

    width: float
    height: float
    title: str
    shapes: list[Shape] = field(default_factory=list[Shape])


def text_width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """About how wide a line of text is, in pixels.

    Args:
        text: the line.
        size: of the font, in pixels.
        mono: whether all characters have one width.
        bold: whether it is bold.
    """
    return len(text) * size * (_MONO if mono else _BOLD if bold else _SANS)
