"""Comparing what an engine computes with what the graph computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.runtime.verification.engine import Arrays, Engine
from mase.runtime.verification.expected import Expected
from mase.runtime.verification.tolerance import EXACT, Tolerance

__all__ = ["Check", "Mismatch", "check_file", "compare_outputs", "differences"]


@dataclass(frozen=True)
class Mismatch:
    """The first number that differs.

    Args:
        node: the name of the node.
        index: where in its value.
        expected: what the graph computes.
        found: what the engine computes.
    """

    node: str
    index: tuple[int, ...]
    expected: float
    found: float

    def __str__(self) -> str:
        at = ",".join(map(str, self.index))
        return f"{self.node}[{at}]: expected {self.expected:.9g}, found {self.found:.9g}"


@dataclass(frozen=True)
class Check:
    """What came of one engine on one set of vectors.

    Args:
        engine: its name.
        vectors: what it was fed.
        compared: how many numbers of outputs were compared.
        wrong: how many of them differ.
        first: the first node, in the graph's order, that differs: where an output does, and where an engine
            shows its values inside, if one of them does although no output does.
        skipped: why the engine did not run.
        failed: what it said when it ran and did not finish.
        tolerance: how far apart numbers of outputs count as equal, as a share of the largest.
    """

    engine: str
    vectors: str
    compared: int = 0
    wrong: int = 0
    first: Mismatch | None = None
    skipped: str | None = None
    failed: str | None = None
    tolerance: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed or differs."""
        return not self.wrong and self.first is None and self.failed is None

    def as_json(self) -> dict[str, Any]:
        """What a JSON file holds of it."""
        made: dict[str, Any] = {
            "engine": self.engine,
            "vectors": self.vectors,
            "compared": self.compared,
            "wrong": self.wrong,
            "tolerance": self.tolerance,
        }
        if self.first is not None:
            made["first"] = vars(self.first) | {"index": list(self.first.index)}
        reasons = {"skipped": self.skipped, "failed": self.failed}
        return made | {key: reason for key, reason in reasons.items() if reason}


def differences(expected: NDArray[Any], found: NDArray[Any], tolerance: float = 0.0) -> NDArray[Any]:
    """Where two arrays differ, as an array of truth values.

    Args:
        expected: any numbers; what has more bits than ``found`` is rounded to its type.
        found: an array of the same shape.
        tolerance: how far apart they may be, as a share of the largest magnitude expected.

    Example:
        >>> differences(np.array([1.0, 2.0]), np.array([1.0, 3.0], np.float32)).tolist()
        [False, True]
    """
    if expected.shape != found.shape:
        return np.ones(max(expected.shape, found.shape, key=lambda s: np.prod(s, dtype=int)), bool)
    if found.dtype.kind == "f":
        expected = expected.astype(found.dtype)
    if tolerance == 0:
        return ~((expected == found) | (np.isnan(expected) & np.isnan(found)))
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    return ~np.isclose(expected, found, rtol=0, atol=tolerance * max(scale, 1e-30), equal_nan=True)


def check_file(
    engine: Engine,
    name: str,
    feeds: Mapping[str, NDArray[Any]],
    expected: Expected,
    values: Sequence[str],
    *,
    vectors: str = "vectors",
    tolerance: Tolerance = EXACT,
) -> Check:
    """Run an engine and compare its outputs; if they differ, find the first node that does.

    Where nothing but last bits of floats may differ and an engine can show all values at once, they are
    compared too: a broken weight need not reach an output.

    Args:
        engine: the engine, with its file.
        name: what it is called.
        feeds: its inputs.
        expected: what the graph computes for them.
        values: names of the values that the file holds.
        vectors: what the inputs are called.
        tolerance: how far numbers may be apart.
    """
    if reason := engine.unfit():
        return Check(name, vectors, skipped=reason)
    inside = [name for name in expected.values if name in set(values)]
    shown = inside if engine.together and tolerance.share == 0 else []
    try:
        found = engine.run(feeds, shown)
    except Exception as error:  # noqa: BLE001 (an engine may raise anything, and the others are still to run)
        return Check(name, vectors, failed=f"{type(error).__name__}: {error}".partition("\n")[0][:200])
    check = compare_outputs(name, vectors, expected, found, tolerance)
    first = _among(shown, expected.values, found, tolerance)
    if check.wrong and first is None:
        first = _first(engine, feeds, expected, inside, tolerance)
    return replace(check, first=first)


def compare_outputs(
    name: str, vectors: str, expected: Expected, found: Arrays, tolerance: Tolerance = EXACT
) -> Check:
    """Count how many numbers of outputs differ; the first that does is one of what is in ``found``."""
    compared = wrong = 0
    found = _with_outputs(expected, found)
    for output, array in expected.outputs.items():
        other = found.get(output)
        if other is not None:
            other = other.reshape(array.shape) if other.size == array.size else other
            compared += array.size
            wrong += int(differences(array, other, tolerance.of(output)).sum())
    if not compared:
        return Check(name, vectors, skipped="it gave none of the outputs")
    first = None
    if wrong:
        shared = (n for n in expected.values if n in found and found[n].dtype.kind == "f")
        first = next((m for n in shared if (m := _where(n, expected.values, found, tolerance))), None)
    widest = max(tolerance.of(output) for output in expected.outputs)
    return Check(name, vectors, compared, wrong, first, tolerance=widest)


def _with_outputs(expected: Expected, found: Arrays) -> Arrays:
    """What an engine gave, its outputs also by the graph's names.

    A file calls an output otherwise if the value is no output's alone, or if it was exported from the graph
    at another level; engines give outputs first, in their order.
    """
    given, made = list(found.items()), dict(found)
    for i, (output, array) in enumerate(expected.outputs.items()):
        if f"{output}_output" in found:
            made.setdefault(output, found[f"{output}_output"])
        elif i < len(given) and given[i][1].size == array.size:
            made.setdefault(output, given[i][1])
    return made


def _first(
    engine: Engine,
    feeds: Mapping[str, NDArray[Any]],
    expected: Expected,
    inside: Sequence[str],
    tolerance: Tolerance,
) -> Mismatch | None:
    """The first node that differs. What an optimiser fuses is looked at one value at a time."""
    groups = [inside] if engine.together else [[name] for name in inside]
    for names in groups:
        if at := _among(names, expected.values, engine.run(feeds, names), tolerance):
            return at
    found = _with_outputs(expected, engine.run(feeds))
    return _among(list(expected.outputs), expected.outputs, found, tolerance)


def _among(names: Sequence[str], expected: Arrays, found: Arrays, tolerance: Tolerance) -> Mismatch | None:
    """The first of some values that differs."""
    present = (name for name in names if name in found)
    return next((m for name in present if (m := _where(name, expected, found, tolerance))), None)


def _where(name: str, expected: Arrays, found: Arrays, tolerance: Tolerance) -> Mismatch | None:
    wrong = differences(expected[name], found[name], tolerance.of(name))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    inside = expected[name].shape == found[name].shape
    pair = (expected[name][index], found[name][index]) if inside else (np.nan, np.nan)
    return Mismatch(name, index, float(pair[0]), float(pair[1]))
