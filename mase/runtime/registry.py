"""Names for things that users choose by name: data sets, tasks, optimizers, learning-rate schedules.

Each of them lives in one file of one package, whose modules are imported when a name is first asked for,
so that a new one is one new file. Third parties add theirs through an entry point or by registering in a
module that they import themselves.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["Registry"]

T = TypeVar("T")
E = TypeVar("E")


class Registry(Generic[T]):
    """A mapping from names to the things registered under them.

    Args:
        kind: what one of them is called in messages, such as ``"data set"``.
        package: the package whose modules register the built-in ones; None if there is none.
        group: the entry-point group whose modules register those of third parties; None if there is none.

    Example:
        >>> colours: Registry[str] = Registry("colour")
        >>> _ = colours.register("grey", "gray")("#808080")
        >>> colours["gray"]
        '#808080'
        >>> colours["grei"]
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown colour 'grei'
          help: did you mean 'grey'?
    """

    def __init__(self, kind: str, *, package: str | None = None, group: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._found = package is None and group is None
        self._entries: dict[str, T] = {}

    def register(self, name: str, *aliases: str) -> Callable[[E], E]:
        """A decorator that registers what it decorates, and returns it unchanged: its own type too.

        Args:
            name: what users write.
            aliases: what they may write instead.

        Raises:
            MaseError: if one of the names already means something else.
        """

        def add(entry: E) -> E:
            for each in (name, *aliases):
                if not _same(self._entries.get(each, entry), entry):
                    raise MaseError.of(
                        f"{self.kind} {each!r} is registered twice", help="choose another name"
                    )
                self._entries[each] = cast(T, entry)
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        self._discover()
        if name not in self._entries:
            raise MaseError.of(f"unknown {self.kind} {name!r}", help=did_you_mean(name, self._entries))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """The names, aliases included, in alphabetical order."""
        self._discover()
        return iter(sorted(self._entries))

    def _discover(self) -> None:
        if self._found:
            return
        self._found = True  # first, because the modules imported below may ask in their turn
        if self._package is not None:
            for module in pkgutil.iter_modules(import_module(self._package).__path__, f"{self._package}."):
                import_module(module.name)
        if self._group is not None:
            for entry_point in entry_points(group=self._group):
                entry_point.load()


def _same(old: object, new: object) -> bool:
    """Whether ``new`` is ``old``, or the same definition imported once more (a reloaded plugin)."""
    return old is new or _origin(old) == _origin(new) != (None, None)


def _origin(entry: object) -> tuple[str | None, str | None]:
    return getattr(entry, "__module__", None), getattr(entry, "__qualname__", None)
