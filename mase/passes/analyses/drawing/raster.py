"""A scene as PNG or PDF, through matplotlib."""

from __future__ import annotations

import io
from typing import Any, Literal

from mase.ir.diagnostics import MaseError
from mase.passes.analyses.drawing.scene import Box, Curve, Label, Scene

__all__ = ["to_raster"]

_DPI = 100  # one pixel of the scene is 1/100 inch
_POINT = 72 / _DPI  # font sizes and lines are in points
_LARGEST = 2**16  # what the renderer takes on a side


def to_raster(scene: Scene, kind: Literal["png", "pdf"], *, scale: float = 2.0) -> bytes:
    """The scene as the bytes of a file.

    Args:
        scene: what to draw.
        kind: of file.
        scale: pixels of a PNG for each pixel of the scene, fewer if it would be too large.

    Raises:
        MaseError: if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MaseError.of(
            f"drawing {kind} needs matplotlib", help="pip install 'mase[plot]', or write .svg or .dot"
        ) from None
    scale = min(scale, (_LARGEST - 1) / max(scene.width, scene.height))
    figure: Any = Figure(figsize=(scene.width / _DPI, scene.height / _DPI), dpi=_DPI * scale)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, scene.width)
    axes.set_ylim(scene.height, 0)
    axes.axis("off")
    for z, shape in enumerate(scene.shapes):
        match shape:
            case Box():
                _box(axes, shape, z)
            case Label():
                _label(axes, shape, z)
            case Curve():
                _curve(axes, shape, z)
    data = io.BytesIO()
    # Without a date and a version, the same graph is the same file.
    stamp = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    figure.savefig(data, format=kind, metadata=stamp)
    return data.getvalue()


def _box(axes: Any, box: Box, z: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    r = box.rect
    patch = FancyBboxPatch(
        (r.x + box.radius, r.y + box.radius),
        r.width - 2 * box.radius,
        r.height - 2 * box.radius,
        boxstyle=f"round,pad={box.radius},rounding_size={box.radius}",
        facecolor=box.fill,
        edgecolor=box.stroke,
        linestyle=(0, (4, 3)) if box.dashed else "-",
        linewidth=_POINT,
        zorder=z,
    )
    axes.add_patch(patch)


def _label(axes: Any, label: Label, z: int) -> None:
    axes.text(
        label.x,
        label.y,
        label.text.replace("$", r"\$"),  # a dollar would begin a formula
        size=label.size * _POINT,
        color=label.colour,
        weight="bold" if label.bold else "normal",
        family="DejaVu Sans Mono" if label.mono else "DejaVu Sans",
        ha="center" if label.centred else "left",
        va="baseline",
        zorder=z,
    )


def _curve(axes: Any, curve: Curve, z: int) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    points: list[tuple[float, float]] = [curve.points[0]]
    for a, b, c, d, e, f in curve.beziers():
        points += [(a, b), (c, d), (e, f)]
    codes = [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1)
    look = {"fill": False, "edgecolor": curve.colour, "linewidth": 1.3 * _POINT, "zorder": z}
    axes.add_patch(PathPatch(Path(points, codes), **look))
    x, y = curve.points[-1]
    axes.add_patch(Polygon([(x, y), (x - 3.5, y - 8), (x + 3.5, y - 8)], color=curve.colour, lw=0, zorder=z))
