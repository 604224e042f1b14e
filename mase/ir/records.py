"""Objects that are neither plain containers nor dataclasses: how each class comes apart and is made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["RecordKind", "record_kind", "register_record"]


@dataclass(frozen=True)
class RecordKind:
    """A class whose objects a graph takes and returns as records of their fields.

    Args:
        fields: the fields of an object; one that is also an attribute has its name.
        make: an equal object from its fields, which are given by keyword.
        refusal: why an object cannot be an input of a graph, None if it can.
    """

    fields: Callable[[Any], Mapping[str, Any]]
    make: Callable[..., Any]
    refusal: Callable[[Any], str | None] = lambda _: None


_KINDS: dict[str, RecordKind] = {}


def register_record(qualified_name: str, kind: RecordKind) -> None:
    """Let graphs take and return objects of a class.

    Args:
        qualified_name: the class, ``package.module.Class``; its subclasses are others.
        kind: how they come apart and are made.

    Example:
        >>> class Point:
        ...     def __init__(self, x):
        ...         self.x = x
        >>> register_record("doc.Point", RecordKind(lambda p: {"x": p.x}, Point))
        >>> record_kind("doc.Point").make(x=1).x
        1
    """
    _KINDS[qualified_name] = kind


def record_kind(qualified_name: str) -> RecordKind | None:
    """What is known of a class, None if nothing is."""
    return _KINDS.get(qualified_name)
