"""A scene as SVG text: no fonts embedded, nothing fetched, text stays text."""

from __future__ import annotations

from html import escape

from mase.passes.analyses.drawing.scene import Box, Curve, Label, Scene, Shape

__all__ = ["to_svg"]

_ARROW = 5.0


def to_svg(scene: Scene) -> str:
    """The scene as an SVG document.

    Example:
        >>> print(to_svg(Scene(10, 20, "empty")).splitlines()[0])
        <svg xmlns="http://www.w3.org/2000/svg" width="10" height="20" viewBox="0 0 10 20">
    """
    width, height = _n(scene.width), _n(scene.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">',
        f"<title>{escape(scene.title)}</title>",
        "<style>",
        "text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif }",
        ".m { font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace }",
        ".b { font-weight: 600 }",
        ".c { text-anchor: middle }",
        "</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        *map(_shape, scene.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _shape(shape: Shape) -> str:
    match shape:
        case Box():
            return _box(shape)
        case Label():
            return _label(shape)
        case Curve():
            return _curve(shape)


def _box(box: Box) -> str:
    r = box.rect
    dash = ' stroke-dasharray="4 3"' if box.dashed else ""
    place = f'x="{_n(r.x)}" y="{_n(r.y)}" width="{_n(r.width)}" height="{_n(r.height)}"'
    open = f'<rect {place} rx="{_n(box.radius)}" fill="{box.fill}" stroke="{box.stroke}"{dash}'
    return f"{open}><title>{escape(box.tip)}</title></rect>" if box.tip else f"{open}/>"


def _label(label: Label) -> str:
    flags = {"m": label.mono, "b": label.bold, "c": label.centred}
    classes = " ".join(name for name, on in flags.items() if on)
    kind = f' class="{classes}"' if classes else ""
    place = f'x="{_n(label.x)}" y="{_n(label.y)}" font-size="{_n(label.size)}" fill="{label.colour}"'
    # Text must not keep the pointer from the box below it, which has the tip.
    return f'<text {place}{kind} pointer-events="none">{escape(label.text)}</text>'


def _curve(curve: Curve) -> str:
    x, y = curve.points[0]
    pieces = " ".join("C" + " ".join(map(_n, piece)) for piece in curve.beziers())
    tip_x, tip_y = curve.points[-1]
    head = f"M{_n(tip_x)} {_n(tip_y)}l{_n(-_ARROW * 0.7)} {_n(-_ARROW * 1.6)}h{_n(_ARROW * 1.4)}z"
    line = f'<path d="M{_n(x)} {_n(y)} {pieces}" fill="none" stroke="{curve.colour}" stroke-width="1.3"/>'
    return f'{line}<path d="{head}" fill="{curve.colour}"/>'


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel, without a needless point."""
    return f"{value:.1f}".removesuffix(".0")
