"""A command that was killed after its training does not train again when it is started anew."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mase.ir.diagnostics import MaseError
from mase.ir.files import write_atomically
from mase.ir.processes import is_leader, told

__all__ = ["CUT_OFF", "rescued"]

CUT_OFF = "MASE_CUT_OFF"
"""Tells the processes that help whether the command was cut off before."""


@contextmanager
def rescued(output: Path | None) -> Generator[bool]:
    """Mark an output as not yet written while a command makes it.

    The mark tells the next command that trains for this output that the result of the last one was never
    kept. Whether its checkpoints are those of this training is for their fingerprint to say: the graph, its
    weights, the data and every option that has an effect.

    Args:
        output: the file that the command will write; None if it keeps none.

    Yields:
        Whether a command before was cut off.
    """
    if output is None:
        yield False
        return
    mark = output.with_name(f".unfinished-{output.stem}")
    with told(CUT_OFF, lambda: "yes" if mark.exists() else "no", otherwise="no") as answer:
        write_atomically(mark, lambda part: part.touch())
        try:
            yield answer == "yes"
        except MaseError:
            if (output.parent / "training_ckpts").exists():
                raise  # there is something to go on from
            _take_back(mark)
            raise
        _take_back(mark)


def _take_back(mark: Path) -> None:
    if is_leader():
        mark.unlink(missing_ok=True)
