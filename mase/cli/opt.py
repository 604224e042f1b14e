"""``mase-opt``: run passes over a graph.toml."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mase.cli.arguments import Arguments, parse_arguments
from mase.cli.guard import guard

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mase-opt`` and return its exit status.

    Args:
        argv: the words after the program's name; those of this process if absent.

    Example:
        >>> main(["--describe", "dce"])
        dce: Erase nodes ...
        0
    """
    return guard(parse_arguments, _dispatch, argv)


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


if __name__ == "__main__":
    sys.exit(main())
