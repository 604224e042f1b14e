"""What comes in on standard input, for each of several processes that run one command."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mase.ir.diagnostics import UsageError
from mase.ir.processes import told

__all__ = ["standard_input"]


@contextmanager
def standard_input() -> Generator[str]:
    """The text on standard input.

    The processes that Lightning starts to train together are the same command again, and their own input is
    at its end: they read a copy that lasts as long as the first of them.

    Raises:
        UsageError: if a launcher has started this process beside others, who would take the input apart.
    """
    with TemporaryDirectory(prefix="mase-input-") as folder:

        def keep() -> str:
            copy = Path(folder, "input.toml")
            copy.write_text(sys.stdin.read(), encoding="utf-8")
            return str(copy)

        with told("MASE_INPUT", keep, otherwise="") as copy:
            if not copy:
                raise UsageError.of(
                    "several processes cannot share one standard input",
                    help="write the graph to a file, and name it",
                )
            yield Path(copy).read_text(encoding="utf-8")
