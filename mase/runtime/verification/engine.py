"""Engines, which run exported files; each is a file of `mase.runtime.verification.engines`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from mase.runtime.registry import Registry

__all__ = ["ENGINES", "Arrays", "Engine"]

Arrays = dict[str, NDArray[Any]]

ENGINES: Registry[type[Engine]] = Registry("engine", package="mase.runtime.verification.engines")


class Engine(ABC):
    """Runs files of some kinds.

    Args:
        path: the file, or the folder of a project.
    """

    kinds: ClassVar[frozenset[str]]
    """The formats of ``export`` that it runs."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What must be installed."""
    extra: ClassVar[str] = "export"
    """The extra of mase that installs it."""
    together: ClassVar[bool] = True
    """Whether it computes the same when values inside are asked for, all at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here; None if it can."""
        absent = [name for name in cls.packages if find_spec(name) is None]
        return f"{', '.join(absent)} not installed: pip install 'mase[{cls.extra}]'" if absent else None

    def unfit(self) -> str | None:
        """Why it is known to compute this file wrongly; None if nothing is known against it."""
        return None

    @abstractmethod
    def run(self, feeds: Mapping[str, NDArray[Any]], names: Sequence[str] = ()) -> Arrays:
        """The outputs for inputs, all by name.

        Args:
            feeds: an array for each input.
            names: values inside of the graph that are wanted too; the engine leaves out what it cannot show.
        """
