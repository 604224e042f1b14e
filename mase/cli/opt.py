"""``mase-opt``: run passes over a graph.toml."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mase.cli.arguments import Arguments, parse_arguments
from mase.ir.diagnostics import MaseError, UsageError

if TYPE_CHECKING:
    from mase.cli.arguments import Color

__all__ = ["main"]

WELL, PROBLEM, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mase-opt`` and return its exit status.

    Args:
        argv: the words after the program's name; those of this process if absent.

    Example:
        >>> main(["--describe", "dce"])
        dce: Erase nodes ...
        0
    """
    color: Color = "auto"
    try:
        args = parse_arguments(sys.argv[1:] if argv is None else argv)
        color = args.color
        _dispatch(args)
    except MaseError as error:
        _report(error, color)
        return USAGE if isinstance(error, UsageError) else PROBLEM
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WELL
    except Exception as error:  # noqa: BLE001  # the one place where bugs end
        _report_bug(error)
        return BUG
    return WELL


def _dispatch(args: Arguments) -> None:
    from mase.passes import load_file

    for file in args.load:
        load_file(file)
    if args.list_passes or args.describe is not None:
        from mase.cli.listing import describe_pass, list_passes

        print(list_passes() if args.describe is None else describe_pass(args.describe), end="")
        return
    from mase.cli.session import run

    run(args)


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


if __name__ == "__main__":
    sys.exit(main())
