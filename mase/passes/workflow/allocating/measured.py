"""The sensitivities that are known, on file: a run that was cut off goes on from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from mase.ir.files import write_atomically
from mase.ir.graph import Graph
from mase.ir.processes import is_leader

__all__ = ["Measured"]


class Measured:
    """Measures each graph once, and keeps what it found in a file of JSON lines as soon as it is known.

    Args:
        path: the file; None keeps nothing.
        facts: what must be the same for its numbers to count; else the file begins anew.
        make_probe: gives what measures a graph; called if something is not known.
    """

    def __init__(
        self, path: Path | None, facts: Mapping[str, str], make_probe: Callable[[], Callable[[Graph], float]]
    ) -> None:
        self._path, self._make_probe = path, make_probe
        self._known: dict[str, float] = {}
        if path is not None:
            self._open(path, dict(facts))

    def __call__(self, name: str, make: Callable[[], Graph]) -> float:
        """The sensitivity of a graph.

        Args:
            name: tells it from all others.
            make: makes the graph; called if its sensitivity is not known.
        """
        if name not in self._known:
            self._known[name] = self._probe(make())
            if self._path is not None and is_leader():
                with self._path.open("a") as file:
                    file.write(json.dumps({"of": name, "is": self._known[name]}) + "\n")
        return self._known[name]

    @cached_property
    def _probe(self) -> Callable[[Graph], float]:
        return self._make_probe()

    def _open(self, path: Path, facts: dict[str, str]) -> None:
        """Read what an earlier run found, and begin the file anew without a line that was cut off."""
        lines = _lines(path)
        if lines[:1] != [facts]:
            lines = [facts]
        self._known = {str(line["of"]): float(line["is"]) for line in lines[1:]}
        text = "".join(json.dumps(line) + "\n" for line in lines)

        def write(part: Path) -> None:
            part.write_text(text)

        write_atomically(path, write)


def _lines(path: Path) -> list[dict[str, str]]:
    """The lines of a file up to the first that was cut off."""
    found: list[dict[str, str]] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
