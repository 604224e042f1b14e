"""The sensitivities that are known, on file: a run that was cut off goes on from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mase.ir.files import write_atomically
from mase.passes.workflow.searching.space import Dimension

__all__ = ["Measured"]


class Measured:
    """Sensitivities by dimension and choice, kept in a file of JSON lines as soon as they are known.

    Args:
        path: the file; None keeps nothing.
        facts: what must be the same for its numbers to count; else the file begins anew.
    """

    def __init__(self, path: Path | None, facts: Mapping[str, str]) -> None:
        self._path, self._facts = path, dict(facts)
        self._known: dict[str, float] = {}
        if path is None:
            return
        lines = _lines(path)
        if lines[:1] != [self._facts]:
            lines = [self._facts]
        self._known = {str(line["of"]): float(line["is"]) for line in lines[1:]}
        text = "".join(json.dumps(line) + "\n" for line in lines)

        def write(part: Path) -> None:
            part.write_text(text)

        write_atomically(path, write)  # without a line that was cut off

    def __contains__(self, what: tuple[Dimension, str]) -> bool:
        return _key(*what) in self._known

    def __getitem__(self, what: tuple[Dimension, str]) -> float:
        return self._known[_key(*what)]

    def add(self, dimension: Dimension, choice: str, value: float) -> None:
        """Keep a number."""
        key = _key(dimension, choice)
        self._known[key] = value
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"of": key, "is": value}) + "\n")


def _key(dimension: Dimension, choice: str) -> str:
    return f"{dimension.role} {choice} {' '.join(dimension.nodes)}"


def _lines(path: Path) -> list[dict[str, str]]:
    """The lines of a file up to the first that was cut off."""
    found: list[dict[str, str]] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
