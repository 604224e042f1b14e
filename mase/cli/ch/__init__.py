"""``ch``: train, test, transform and search a named model on a named data set.

It turns its options into a recipe and runs it as ``mase-opt`` does; nothing is implemented here.
"""

from __future__ import annotations

from collections.abc import Sequence

from mase.cli.ch.arguments import Arguments, parse_arguments
from mase.cli.guard import guard

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ch`` and return its exit status.

    Args:
        argv: the words after the program's name; those of this process if absent.

    Example:
        >>> main(["--info", "dataset"])
        data sets
        ...
          toy-tiny ...
        0
    """
    return guard(parse_arguments, _dispatch, argv)


def _dispatch(args: Arguments) -> None:
    if args.info is not None:
        from mase.cli.ch.info import show_info

        show_info(args)
    else:
        from mase.cli.ch.run import run

        run(args)
