"""Where the boxes of a dataflow graph go: layers from top to bottom, after Sugiyama.

Every box lies one layer below the lowest of its operands; edges that skip layers get a bend in each;
each layer is ordered by the places of its neighbours; and horizontal places minimise the total sideways
distance of all edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean as mean
from typing import Any, cast

__all__ = ["HEAD", "PAD", "Layout", "Rect", "arrange"]

PAD, HEAD = 6.0, 11.0
"""Room between a frame and what is within, and for the frame's name."""

_GAP_X, _GAP_Y = 24.0, 40.0
_BEND_WIDTH = 10.0
_SWEEPS = 12
_STRAIGHT = 3.0  # how much more it matters that an edge is straight at a bend than at a box
_SNUG = 1e-4  # how much it matters that the picture is narrow

Edge = tuple[str, str]
Place = str | tuple[Edge, int]  # a box, or the bend of an edge in a layer


@dataclass(frozen=True)
class Rect:
    """An upright rectangle by its left upper corner; y grows downwards, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> float:
        """The horizontal middle."""
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        """The right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The lower side."""
        return self.y + self.height

    def grown(self, by: float, top: float = 0.0) -> Rect:
        """Larger on every side, and a little more at the top."""
        return Rect(self.x - by, self.y - by - top, self.width + 2 * by, self.height + 2 * by + top)

    def overlaps(self, other: Rect) -> bool:
        """Whether the two share more than a side."""
        across = self.x < other.right and other.x < self.right
        return across and self.y < other.bottom and other.y < self.bottom

    @staticmethod
    def around(rects: Iterable[Rect]) -> Rect:
        """The smallest rectangle that holds all of some."""
        known = list(rects)
        x, y = min(r.x for r in known), min(r.y for r in known)
        return Rect(x, y, max(r.right for r in known) - x, max(r.bottom for r in known) - y)


@dataclass(frozen=True)
class Layout:
    """The boxes by name, and for each edge the points that its curve goes through, downwards."""

    boxes: Mapping[str, Rect]
    routes: Mapping[Edge, Sequence[tuple[float, float]]]


def arrange(
    sizes: Mapping[str, tuple[float, float]],
    edges: Sequence[Edge],
    groups: Collection[Collection[str]] = (),
) -> Layout:
    """Place boxes so that every edge leads downwards.

    Args:
        sizes: width and height of each box, in an order in which every edge leads forwards.
        edges: from box to box, each pair once.
        groups: boxes around which a frame may be drawn; above and below there is room for it.

    Example:
        >>> boxes = arrange({"a": (50, 20), "b": (50, 20)}, [("a", "b")]).boxes
        >>> boxes["a"].centre == boxes["b"].centre, boxes["a"].bottom < boxes["b"].y
        (True, True)
    """
    if not sizes:
        return Layout({}, {})
    levels = _levels(list(sizes), edges)
    layers, links = _with_bends(levels, edges)
    widths = {p: sizes[p][0] if isinstance(p, str) else _BEND_WIDTH for layer in layers for p in layer}
    _order(layers, links)
    centres = _centres(layers, links, widths)
    boxes: dict[str, Rect] = {}
    middles: list[tuple[float, float]] = []  # top and bottom of each layer
    y = 0.0
    for layer, room in zip(layers, _rooms(levels, groups), strict=True):
        y += room
        height = max((sizes[p][1] for p in layer if isinstance(p, str)), default=0.0)
        for place in layer:
            if isinstance(place, str):
                width, own = sizes[place]
                boxes[place] = Rect(centres[place] - width / 2, y + (height - own) / 2, width, own)
        middles.append((y, y + height))
        y += height + _GAP_Y
    routes = {edge: _route(edge, levels, boxes, centres, middles) for edge in edges}
    return Layout(boxes, routes)


def _rooms(levels: Mapping[str, int], groups: Collection[Collection[str]]) -> list[float]:
    """What to leave free above each layer, beside the usual gap, for the frames that begin or end there."""
    rooms = [0.0] * (max(levels.values()) + 1)
    begin, end = Counter[str](), Counter[str]()  # frames whose first or last layer is that of a box
    for group in groups:
        first, last = (pick(levels[name] for name in group) for pick in (min, max))
        begin.update(name for name in group if levels[name] == first)
        end.update(name for name in group if levels[name] == last)
    heads, feet = [0] * len(rooms), [0] * len(rooms)
    for name, level in levels.items():
        heads[level], feet[level] = max(heads[level], begin[name]), max(feet[level], end[name])
    for level in range(len(rooms)):
        above = feet[level - 1] if level else 0
        rooms[level] = max(0.0, heads[level] * (PAD + HEAD) + above * PAD - _GAP_Y / 2)
    return rooms


def _levels(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The layer of each box; one without operands lies right above its first user."""
    levels = dict.fromkeys(names, 0)
    place = {name: i for i, name in enumerate(names)}
    for source, target in sorted(edges, key=lambda e: place[e[0]]):
        levels[target] = max(levels[target], levels[source] + 1)
    targets = {target for _, target in edges}
    users: dict[str, list[int]] = {}
    for source, target in edges:
        users.setdefault(source, []).append(levels[target])
    for name in names:
        if name not in targets and name in users:
            levels[name] = min(users[name]) - 1
    return levels


def _with_bends(
    levels: Mapping[str, int], edges: Sequence[Edge]
) -> tuple[list[list[Place]], list[tuple[Place, Place]]]:
    """The layers with a bend wherever an edge crosses one, and the links between neighbouring layers."""
    layers: list[list[Place]] = [[] for _ in range(max(levels.values()) + 1)]
    links: list[tuple[Place, Place]] = []
    for name, level in levels.items():
        layers[level].append(name)
    for edge in edges:
        above: Place = edge[0]
        for level in range(levels[edge[0]] + 1, levels[edge[1]]):
            bend: Place = (edge, level)
            layers[level].append(bend)
            links.append((above, bend))
            above = bend
        links.append((above, edge[1]))
    return layers, links


def _neighbours(links: Sequence[tuple[Place, Place]], *, up: bool) -> dict[Place, list[Place]]:
    found: dict[Place, list[Place]] = {}
    for above, below in links:
        own, other = (below, above) if up else (above, below)
        found.setdefault(own, []).append(other)
    return found


def _order(layers: list[list[Place]], links: Sequence[tuple[Place, Place]]) -> None:
    """Sort each layer by the mean place of its neighbours, downwards and upwards in turn."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        known = _neighbours(links, up=down)
        share = {p: i / max(len(layer) - 1, 1) for layer in layers for i, p in enumerate(layer)}
        for layer in layers if down else reversed(layers):
            means = {p: mean(share[q] for q in known.get(p, [p])) for p in layer}
            layer.sort(key=lambda p: means[p])  # used at once
            share.update({p: i / max(len(layer) - 1, 1) for i, p in enumerate(layer)})


def _centres(
    layers: list[list[Place]], links: Sequence[tuple[Place, Place]], widths: Mapping[Place, float]
) -> dict[Place, float]:
    """The horizontal middle of each place; the leftmost box begins at 0.

    The sum of the sideways distances is the least that order and gaps allow, so what can be straight is.
    That is a linear program: ``|a - b|`` is the smallest ``d`` with ``a - b <= d`` and ``b - a <= d``.
    """
    places = [p for layer in layers for p in layer]
    column = {p: i for i, p in enumerate(places)}
    rows: list[list[tuple[int, float]]] = []  # of coefficients
    limits: list[float] = []
    for i, (above, below) in enumerate(links):
        ends, distance = (column[above], column[below]), (len(places) + i, -1.0)
        rows += [[(ends[0], 1.0), (ends[1], -1.0), distance], [(ends[0], -1.0), (ends[1], 1.0), distance]]
        limits += [0.0, 0.0]
    for layer in layers:
        for left, right in pairwise(layer):
            rows.append([(column[left], 1.0), (column[right], -1.0)])
            limits.append(-(widths[left] + widths[right]) / 2 - _GAP_X)
    weights = [_STRAIGHT ** sum(not isinstance(p, str) for p in link) for link in links]
    found = _minimum([_SNUG] * len(places) + weights, rows, limits)
    left = min(x - widths[p] / 2 for p, x in zip(places, found, strict=False))
    return {p: x - left for p, x in zip(places, found, strict=False)}


def _minimum(
    costs: Sequence[float], rows: Sequence[Sequence[tuple[int, float]]], limits: Sequence[float]
) -> list[float]:
    """The cheapest non-negative values for which no row's weighted sum exceeds its limit."""
    from scipy import optimize, sparse  # comes with scikit-learn

    if not rows:
        return [0.0] * len(costs)
    entries = [(value, i, j) for i, row in enumerate(rows) for j, value in row]
    values, i, j = zip(*entries, strict=True)
    matrix: Any = sparse.csr_array((values, (i, j)), shape=(len(rows), len(costs)))
    solved = cast(Any, optimize).linprog(costs, A_ub=matrix, b_ub=limits, method="highs")
    return [float(x) for x in solved.x]


def _route(
    edge: Edge,
    levels: Mapping[str, int],
    boxes: Mapping[str, Rect],
    centres: Mapping[Place, float],
    middles: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    """From the lower side of a box, straight through each layer on the way, to the upper side of another."""
    source, target = boxes[edge[0]], boxes[edge[1]]
    points = [(source.centre, source.bottom)]
    for level in range(levels[edge[0]] + 1, levels[edge[1]]):
        x, (top, bottom) = centres[(edge, level)], middles[level]
        points += [(x, top), (x, bottom)]
    return [*points, (target.centre, target.y)]
