"""Frames around the nodes of one module of the user's model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from mase.passes.analyses.drawing.layout import HEAD, PAD, Rect

__all__ = ["Frame", "frames", "modules"]


@dataclass(frozen=True)
class Frame:
    """A frame around a module.

    Args:
        scope: the module path.
        name: what is left of it within the next frame around.
        rect: where.
    """

    scope: str
    name: str
    rect: Rect


def modules(scopes: Mapping[str, str]) -> dict[str, set[str]]:
    """The boxes of each module that deserves a frame, by its path.

    A module of one box does not, nor does one that holds everything, or no more than a module within.

    Args:
        scopes: the module path of each box by name; empty for boxes of no module.
    """
    members: dict[str, set[str]] = {}
    for name, scope in scopes.items():
        parts = scope.split(".") if scope else []
        for depth in range(1, len(parts) + 1):
            members.setdefault(".".join(parts[:depth]), set()).add(name)
    innermost: dict[frozenset[str], str] = {}
    for scope in sorted(members, key=lambda s: -s.count(".")):
        innermost.setdefault(frozenset(members[scope]), scope)
    return {scope: members[scope] for names, scope in innermost.items() if 1 < len(names) < len(scopes)}


def frames(members: Mapping[str, Collection[str]], boxes: Mapping[str, Rect]) -> list[Frame]:
    """The modules that can be framed without enclosing a stranger, outer ones first.

    Args:
        members: the boxes of each module, inner modules first.
        boxes: where the boxes are.
    """
    chosen: dict[str, Frame] = {}
    for scope, names in members.items():
        inside = [s for s in chosen if s.startswith(f"{scope}.")]
        within = [*(boxes[n] for n in names), *(chosen[s].rect for s in inside)]
        rect = Rect.around(within).grown(PAD, HEAD)
        strangers = [r for n, r in boxes.items() if n not in names]
        strangers += [f.rect for s, f in chosen.items() if s not in inside]
        if not any(rect.overlaps(r) for r in strangers):
            chosen[scope] = Frame(scope, scope, rect)
    outer_first = sorted(chosen.values(), key=lambda f: f.scope.count("."))
    return [replace(f, name=_relative(f.scope, chosen)) for f in outer_first]


def _relative(scope: str, frames: Collection[str]) -> str:
    around = max((s for s in frames if scope.startswith(f"{s}.")), key=len, default="")
    return scope.removeprefix(f"{around}.") if around else scope
