"""From what a command raises to what its user sees, and to its exit status."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from mase.ir.diagnostics import MaseError, UsageError

if TYPE_CHECKING:
    from mase.cli.arguments import Color

__all__ = ["guard"]


class _Colored(Protocol):
    @property
    def color(self) -> Color: ...


A = TypeVar("A", bound=_Colored)

WELL, PROBLEM, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130

_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)
"""A full disk or a missing permission is no bug."""


def guard(parse: Callable[[Sequence[str]], A], act: Callable[[A], object], argv: Sequence[str] | None) -> int:
    """Run a command and return its exit status; whatever it raises is shown.

    Args:
        parse: from the words of the command line to its arguments.
        act: what to do with them.
        argv: the words after the program's name; those of this process if absent.

    Example:
        >>> from mase.cli.arguments import parse_arguments
        >>> guard(parse_arguments, lambda args: print(args.describe), ["--describe", "dce"])
        dce
        0
    """
    color: Color = "auto"
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        color = args.color
        act(args)
    except MaseError as error:
        _report(error, color)
        return USAGE if isinstance(error, UsageError) else PROBLEM
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _discard_output()
        return WELL
    except Exception as error:  # noqa: BLE001  # the one place where bugs end
        if _follows_interrupt(error):
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            _discard_output()
            _report(MaseError.of(f"{error.filename or 'standard output'}: {error.strerror}"), color)
            return PROBLEM
        _report_bug(error)
        return BUG
    return WELL


def _discard_output() -> None:
    """What is still to be flushed would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _follows_interrupt(error: BaseException) -> bool:
    """Whether it was raised on the way out of an interrupt, such as by a package that is half imported."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__context__
    return seen is not None


def _report(error: MaseError, color: Color) -> None:
    from mase.cli.render import make_console, show_diagnostics

    show_diagnostics(make_console(color), error.diagnostics)


def _report_bug(error: Exception) -> None:
    traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = not frames or Path(frames[-1].filename).is_relative_to(Path(__file__).parents[1])
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    hint = (
        "this is a bug in mase: please report it with the lines above"
        if ours
        else f"the exception comes from {place}; if no pass or model of yours is involved, please report it"
    )
    print(f"internal error: {hint}", file=sys.stderr)
