"""The folder of a training run: its checkpoints, and whether they may be continued."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mase.ir.processes import is_leader
from mase.runtime.training.fingerprint import Fingerprint
from mase.runtime.training.places import exists, link, mend, remove

__all__ = ["RunFolder"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """``training_ckpts/`` of an output folder: ``best.ckpt``, ``last.ckpt`` and ``run.json``.

    ``run.json`` holds the fingerprint of the run that the checkpoints belong to, its settings and, once it
    is over, its metrics. A checkpoint is a file, or a folder where the strategy makes it one. Each is
    replaced so that a kill at any moment leaves a folder to continue from.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch so far."""
        return self.path / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last complete epoch."""
        return self.path / "last.ckpt"

    @property
    def partial(self) -> Path:
        """Where a checkpoint is written before it takes its place."""
        return self.path / "partial.ckpt"

    def begin(
        self,
        fingerprint: Fingerprint,
        settings: Mapping[str, object],
        *,
        resume: bool,
        cut_off: bool = False,
        say: Callable[[str], None] = _log.info,
    ) -> Path | None:
        """Gets ready for a run.

        A run that was cut off is continued if it is the same in every aspect. Else what lies here is
        renamed to ``best-1.ckpt``, ``last-1.ckpt``, ``run-1.json`` (the next free number), so that no
        checkpoint of another run is ever taken for one of this run.

        Args:
            fingerprint: of the run that is about to start.
            settings: what it runs with, for who reads ``run.json``.
            resume: whether to continue at all.
            cut_off: whether the command was cut off before it kept the results of its runs: then those that
                are over are continued, too, at their end, and so are those that a later one has set aside.
            say: told what is continued.

        Returns:
            The checkpoint to continue from, or None to start afresh.
        """
        self._mend()
        again = resume and cut_off and bool(_differing(self._read(), fingerprint))
        if again and (record := self._bring_back(fingerprint)):
            return self._continued(record, say)
        previous = self._read()
        unfinished = (cut_off or "metrics" not in previous) and exists(self.last)
        differing = _differing(previous, fingerprint)
        if resume and unfinished and not differing:
            return self._continued(previous, say)
        kept = self._set_aside()
        if unfinished and kept and not cut_off:
            why = f"another {', '.join(differing)}" if differing else "resume is off"
            _log.warning("the unfinished run in %s is not continued (%s); kept as %s", self.path, why, kept)
        self._write({"fingerprint": fingerprint, "settings": dict(settings)})
        return None

    def finish(self, metrics: dict[str, float]) -> None:
        """Notes that the run is over, and what it reached."""
        self._write({**self._read(), "metrics": metrics})

    def _continued(self, record: Mapping[str, Any], say: Callable[[str], None]) -> Path:
        how = "complete" if "metrics" in record else "cut off"
        say(f"this training was {how} in {self.path}; going on there")
        return self.last

    def _mend(self) -> None:
        if is_leader():
            remove(self.partial)
            for place in self._places():
                mend(place)

    def _set_aside(self) -> str:
        """Renames the run to the next free number; returns the new names of its checkpoints.

        Processes that help need not wait for it: without ``last.ckpt``, and with that of a run that is over
        or another, they decide the same.
        """
        if not is_leader():
            return ""
        self.path.mkdir(parents=True, exist_ok=True)
        number = 1
        while any(place.exists() for place in self._places(number)):
            number += 1
        moves = list(zip(self._places(), self._places(number), strict=True))
        if not (self.last.exists() or self.best.exists()):
            return ""  # a record alone is of a run that left nothing
        renamed = [new.name for old, new in moves if old.exists() and new.suffix == ".ckpt"]
        for old, new in moves:
            if old.exists():
                old.rename(new)
        return ", ".join(renamed)

    def _bring_back(self, fingerprint: Fingerprint) -> dict[str, Any]:
        """Makes the latest run of this fingerprint that was set aside the current one.

        Its old places go last: who looks meanwhile, or after a kill, finds it in these or in the new ones.

        Returns:
            Its record; empty if there is no such run.
        """
        numbers = [int(path.stem.rpartition("-")[2]) for path in self.path.glob("run-*.json")]
        for number in sorted(numbers, reverse=True):
            places = self._places(number)
            record = self._read(places[-1])
            if record and places[0].exists() and not _differing(record, fingerprint):
                if is_leader():
                    self._set_aside()
                    self._reinstate(places)
                return record
        return {}

    def _reinstate(self, places: tuple[Path, ...]) -> None:
        for old, current in zip(places, self._places(), strict=True):
            if old.exists():
                link(old, current)
        for old in reversed(places):
            remove(old)

    def _places(self, number: int | None = None) -> tuple[Path, Path, Path]:
        """Where the last and the best checkpoint and the record lie, or lay before they got a number."""
        own = (self.last, self.best, self.path / "run.json")
        if number is None:
            return own
        last, best, record = (path.with_stem(f"{path.stem}-{number}") for path in own)
        return last, best, record

    def _read(self, record: Path | None = None) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", json.loads((record or self.path / "run.json").read_text()))
        except (FileNotFoundError, ValueError):  # none yet, or not ours
            return {}

    def _write(self, content: dict[str, Any]) -> None:
        if not is_leader():
            return
        partial = self.path / "run.json.partial"
        partial.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(partial, self.path / "run.json")  # noqa: PTH105  # atomic, and said so


def _differing(record: Mapping[str, Any], fingerprint: Fingerprint) -> list[str]:
    """The aspects in which another run was recorded."""
    return [key for key in fingerprint if record.get("fingerprint", {}).get(key) != fingerprint[key]]
