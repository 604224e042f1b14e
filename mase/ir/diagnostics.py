"""Diagnostics: what was wrong, where (both sides), and what to do about it.

An error carries two places: the line of the TOML text (or command line) that asked for it and the
line of the user's model that the node came from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Diagnostic", "Location", "MaseError", "Severity", "UsageError", "closest", "did_you_mean"]


class Severity(Enum):
    """How bad a diagnostic is; only ``ERROR`` stops a pipeline."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, order=True)
class Location:
    """A line of a file.

    Example:
        >>> str(Location("model.py", 21))
        'model.py:21'
        >>> Location.parse("model.py:21")
        Location(file='model.py', line=21)
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @classmethod
    def parse(cls, text: str) -> Location:
        """Read ``file:line``.

        Raises:
            ValueError: if ``text`` does not end in ``:<line>``.
        """
        file, _, line = text.rpartition(":")
        if not file or not line.isdigit():
            raise ValueError(f"expected 'file:line', found {text!r}")
        return cls(file, int(line))


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    Args:
        message: what is wrong and what was expected.
        severity: error, warning or note.
        at: the line of the text that mase was given (graph.toml, a pass file).
        node: the name of the node concerned.
        source: the line of the user's model that the node came from.
        help: the remedy, if one is known.

    Example:
        >>> print(Diagnostic("unknown pass 'quantise'", help="did you mean 'quantize'?"))
        error: unknown pass 'quantise'
          help: did you mean 'quantize'?
    """

    message: str
    severity: Severity = Severity.ERROR
    at: Location | None = None
    node: str | None = None
    source: Location | None = None
    help: str | None = None

    def __str__(self) -> str:
        place = f"{self.at}: " if self.at else ""
        lines = [f"{place}{self.severity.value}: {self.message}"]
        if self.node or self.source:
            where = f"node {self.node!r}" if self.node else "model"
            lines.append(f"  in: {where}" + (f", from {self.source}" if self.source else ""))
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


@dataclass
class MaseError(Exception):
    """A problem with the user's input; ``mase-opt`` prints it and exits with status 1.

    Example:
        >>> raise MaseError.of("the data set is empty", help="check [data] source")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: the data set is empty
          help: check [data] source
    """

    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)

    @classmethod
    def of(
        cls,
        message: str,
        *,
        at: Location | None = None,
        node: str | None = None,
        source: Location | None = None,
        help: str | None = None,
    ) -> MaseError:
        """An error of one diagnostic; the arguments are those of `Diagnostic`."""
        return cls([Diagnostic(message, at=at, node=node, source=source, help=help)])


class UsageError(MaseError):
    """A command line, pipeline or option that cannot be meant; ``mase-opt`` exits with status 2."""


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """A one-line remedy for a name that is nearly one that is known; None if it is none of them.

    Args:
        word: what was written.
        known: what could have been written.
        cutoff: how alike a suggestion must be, from 0 to 1.

    Example:
        >>> closest("quantise", ["quantize", "train"])
        "did you mean 'quantize'?"
    """
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=cutoff)
    return f"did you mean {close[0]!r}?" if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A one-line remedy for an unknown name.

    Args:
        word: what was written.
        known: what could have been written.

    Returns:
        ``"did you mean 'x'?"`` if something is close, the known names if there are few, else None.

    Example:
        >>> did_you_mean("quantise", ["quantize", "train"])
        "did you mean 'quantize'?"
        >>> did_you_mean("zzz", ["quantize", "train"])
        'known: quantize, train'
    """
    names = sorted(known)
    listed = f"known: {', '.join(names)}" if 0 < len(names) <= 30 else None
    return closest(word, names) or listed
