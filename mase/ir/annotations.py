"""Annotations: typed facts that passes attach to nodes, keyed by their class.

``node.meta[Statistics]`` gives a `Statistics` or raises KeyError. Rewrites carry annotations over;
one whose plugin is absent is kept verbatim and written back unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast, dataclass_transform

__all__ = ["Meta", "annotation_class", "annotation_name", "register_annotation"]

A = TypeVar("A")
C = TypeVar("C", bound=type[Any])

_BY_NAME: dict[str, type[Any]] = {}
_NAME_OF: dict[type[Any], str] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def register_annotation(name: str) -> Callable[[C], C]:
    """Class decorator: make a class a frozen keyword-only dataclass that graphs can carry.

    Raises:
        ValueError: if the name is taken.
    """

    def register(cls: C) -> C:
        made = dataclass(frozen=True, kw_only=True)(cls)
        known = _BY_NAME.get(name)
        if known is not None and known.__qualname__ != made.__qualname__:
            raise ValueError(f"annotation name {name!r} is taken by {known.__qualname__}")
        _BY_NAME[name] = made
        _NAME_OF[made] = name
        return made

    return register


def annotation_class(name: str) -> type[Any] | None:
    """The class registered under ``name``, or None when no loaded module owns it."""
    return _BY_NAME.get(name)


def annotation_name(cls: type[Any]) -> str:
    """The registered name of a class.

    Raises:
        KeyError: if the class was not registered.
    """
    return _NAME_OF[cls]


class Meta:
    """The annotations of one node; ``foreign`` holds those that no loaded class owns.

    Args:
        changed: called after each change; a node passes what raises its graph's version.

    Example:
        >>> @register_annotation("doc.note")
        ... class Note:
        ...     text: str
        >>> meta = Meta()
        >>> meta.set(Note(text="hot"))
        >>> meta[Note].text, Note in meta
        ('hot', True)
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._items: dict[type[Any], Any] = {}
        self._changed = changed
        self.foreign: dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, cls: type[A]) -> A:
        return cast(A, self._items[cls])

    def get(self, cls: type[A]) -> A | None:
        """The annotation of class ``cls``, or None."""
        return cast("A | None", self._items.get(cls))

    def set(self, value: object) -> None:
        """Attach an annotation, replacing one of the same class.

        Raises:
            TypeError: if its class was not registered.
        """
        if type(value) not in _NAME_OF:
            raise TypeError(f"{type(value).__name__} is not an annotation; use @register_annotation")
        self._items[type(value)] = value
        self._changed()

    def drop(self, cls: type[Any]) -> None:
        """Remove the annotation of class ``cls`` if there is one."""
        if self._items.pop(cls, None) is not None:
            self._changed()

    def update(self, other: Meta) -> None:
        """Take over every annotation of ``other``."""
        self._items.update(other._items)
        self.foreign.update(other.foreign)
        self._changed()

    def __contains__(self, cls: type[Any]) -> bool:
        return cls in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items) + len(self.foreign)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Meta):
            return NotImplemented
        return self._items == other._items and self.foreign == other.foreign

    __hash__ = None  # type: ignore[assignment]
