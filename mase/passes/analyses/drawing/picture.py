"""From a graph to a scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mase.ir.graph import Graph, Node
from mase.ir.types import ScalarType
from mase.passes.analyses.drawing.groups import frames, modules
from mase.passes.analyses.drawing.layout import Layout, Rect, arrange
from mase.passes.analyses.drawing.scene import Box, Curve, Label, Scene, Shape, text_width
from mase.passes.analyses.drawing.style import FAMILIES, details, family_of, lines_of, title_of
from mase.passes.analyses.not_quantized import NotQuantized

__all__ = ["picture"]

_TITLE, _LINE, _MARGIN = 13.0, 10.5, 28.0
_INK, _SOFT, _EDGE, _ALERT = "#1f2933", "#52606d", "#9aa5b1", "#c53030"


@dataclass(frozen=True)
class Swatch:
    """An entry of the legend."""

    x: float
    name: str
    fill: str
    stroke: str
    dashed: bool

    @property
    def right(self) -> float:
        """Where its text ends."""
        return self.x + 17 + text_width(self.name, 10.5)


def picture(graph: Graph, *, sizes: bool = False) -> Scene:
    """Draw a graph: a box for each node, inputs on top, a frame around each module where it fits.

    Args:
        graph: of any level.
        sizes: whether to draw the scalars, which are mostly symbolic sizes, too.
    """
    nodes = [n for n in graph.nodes if sizes or not isinstance(n.type, ScalarType)]
    ends = {f"output {i}": node for i, node in enumerate(graph.outputs)}
    if len(ends) == 1:
        ends = {"output": graph.outputs[0]}
    texts = {node.name: (title_of(node.op), lines_of(node)) for node in nodes}
    texts |= {f"->{name}": (name, list[str]()) for name in ends}
    edges = [(s.name, n.name) for n in nodes for s in dict.fromkeys(n.inputs) if s.name in texts]
    edges += [(node.name, f"->{name}") for name, node in ends.items() if node.name in texts]
    scopes = {node.name: node.scope for node in nodes}
    members = modules({name: scopes.get(name, "") for name in texts})
    layout = arrange({name: _size(*text) for name, text in texts.items()}, edges, members.values())
    framed = frames(members, layout.boxes)

    shapes: list[Shape] = []
    shapes += [Box(rect=f.rect, fill="#fafbfc", stroke="#d5dbe1", radius=8.0) for f in framed]
    shapes += [Curve(points=points, colour=_EDGE) for points in layout.routes.values()]
    for frame in framed:
        shapes.append(_text(frame.rect.x + 8, frame.rect.y + 13, frame.name, 10, _SOFT, centred=False))
    for node in nodes:
        shapes += _node(node, layout.boxes[node.name], *texts[node.name])
    for name in ends:
        shapes += _end(name, layout.boxes[f"->{name}"])
    return _mounted(graph, layout, [frame.rect for frame in framed], shapes)


def _size(title: str, lines: list[str]) -> tuple[float, float]:
    widths = [text_width(title, _TITLE, bold=True), *(text_width(line, _LINE, mono=True) for line in lines)]
    return max(64.0, max(widths) + 22), 26.0 + 15.0 * len(lines)


def _node(node: Node, rect: Rect, title: str, lines: list[str]) -> list[Shape]:
    family, quantized = family_of(node.op), node.op.level != "float"
    refused = NotQuantized in node.meta
    box = Box(
        rect=rect,
        fill=family.strong if quantized else family.light,
        stroke=_ALERT if refused else family.strong,
        dashed=refused,
        tip=details(node),
    )
    ink, soft = ("#ffffff", "#eef2f6") if quantized else (_INK, _SOFT)
    shapes: list[Shape] = [box, _text(rect.centre, rect.y + 18, title, _TITLE, ink, bold=True)]
    for i, line in enumerate(lines):
        shapes.append(_text(rect.centre, rect.y + 33 + 15 * i, line, _LINE, soft, mono=True))
    return shapes


def _end(name: str, rect: Rect) -> list[Shape]:
    family = FAMILIES[0]
    pill = Box(rect=rect, fill=family.light, stroke=family.strong, radius=rect.height / 2)
    return [pill, _text(rect.centre, rect.y + 18, name, _TITLE, _INK, bold=True)]


def _mounted(graph: Graph, layout: Layout, framed: list[Rect], shapes: list[Shape]) -> Scene:
    """The shapes with a heading, a legend and a margin around them."""
    routed = [Rect(x, y, 0, 0) for points in layout.routes.values() for x, y in points]
    body = Rect.around([*layout.boxes.values(), *framed, *routed]) if layout.boxes else Rect(0, 0, 0, 0)
    legend = _legend(graph)
    heading = f"{graph.name} ({graph.level})"
    across = [body.width, text_width(heading, 15, bold=True), *(entry.right for entry in legend)]
    width, top = max(across), 44.0
    scene = Scene(width + 2 * _MARGIN, body.height + top + 44 + 2 * _MARGIN, heading)
    scene.shapes.append(_text(_MARGIN, _MARGIN + 12, heading, 15, _INK, bold=True, centred=False))
    right, down = _MARGIN + (width - body.width) / 2 - body.x, _MARGIN + top - body.y
    scene.shapes += [_moved(shape, right, down) for shape in shapes]
    foot = body.height + top + 44
    for entry in legend:
        place = Rect(_MARGIN + entry.x, _MARGIN + foot - 10, 12, 12)
        scene.shapes.append(
            Box(rect=place, fill=entry.fill, stroke=entry.stroke, radius=3.0, dashed=entry.dashed)
        )
        scene.shapes.append(_text(place.x + 17, place.y + 10, entry.name, 10.5, _SOFT, centred=False))
    return scene


def _legend(graph: Graph) -> list[Swatch]:
    """What the colours that occur mean."""
    found = {family_of(node.op) for node in graph.nodes}
    looks = [(f.name, f.light, f.strong, False) for f in FAMILIES if f in found]
    if any(node.op.level != "float" for node in graph.nodes):
        looks.append(("quantized", _SOFT, _SOFT, False))
    if any(NotQuantized in node.meta for node in graph.nodes):
        looks.append(("left in float", "#ffffff", _ALERT, True))
    placed: list[Swatch] = []
    x = 0.0
    for name, fill, stroke, dashed in looks:
        placed.append(Swatch(x, name, fill, stroke, dashed))
        x = placed[-1].right + 16
    return placed


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    *,
    bold: bool = False,
    mono: bool = False,
    centred: bool = True,
) -> Label:
    return Label(x=x, y=y, text=text, size=size, colour=colour, bold=bold, mono=mono, centred=centred)


def _moved(shape: Shape, right: float, down: float) -> Shape:
    match shape:
        case Box(rect=r):
            return replace(shape, rect=replace(r, x=r.x + right, y=r.y + down))
        case Label():
            return replace(shape, x=shape.x + right, y=shape.y + down)
        case Curve():
            return replace(shape, points=[(x + right, y + down) for x, y in shape.points])
