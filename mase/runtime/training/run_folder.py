"""The folder of a training run: its checkpoints, and whether they may be continued."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mase.ir.processes import is_leader
from mase.runtime.training.fingerprint import Fingerprint
from mase.runtime.training.places import exists, mend, remove

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

    def begin(self, fingerprint: Fingerprint, settings: Mapping[str, object], *, resume: bool) -> Path | None:
        """Gets ready for a run.

        A run that was cut off is continued if it is the same in every aspect. Else what lies here is
        renamed to ``best-1.ckpt``, ``last-1.ckpt`` (the next free number), so that no checkpoint of another
        run is ever taken for one of this run.

        Args:
            fingerprint: of the run that is about to start.
            settings: what it runs with, for who reads ``run.json``.
            resume: whether to continue at all.

        Returns:
            The checkpoint to continue from, or None to start afresh.
        """
        self._mend()
        previous = self._read()
        unfinished = "metrics" not in previous and exists(self.last)
        differing = [
            key for key in fingerprint if previous.get("fingerprint", {}).get(key) != fingerprint[key]
        ]
        if resume and unfinished and not differing:
            _log.info("continuing the run that was cut off in %s", self.path)
            return self.last
        kept = self._set_aside()
        if unfinished and kept:
            why = f"another {', '.join(differing)}" if differing else "resume is off"
            _log.warning("the unfinished run in %s is not continued (%s); kept as %s", self.path, why, kept)
        self._write({"fingerprint": fingerprint, "settings": dict(settings)})
        return None

    def reopen(self) -> None:
        """Makes a run that is over one that is still to be finished: `begin` then continues it at its end.

        For who was cut off after the run but before keeping its result.
        """
        content = self._read()
        if content.pop("metrics", None) is not None:
            self._write(content)

    def finish(self, metrics: dict[str, float]) -> None:
        """Notes that the run is over, and what it reached."""
        self._write({**self._read(), "metrics": metrics})

    def _mend(self) -> None:
        if is_leader():
            remove(self.partial)
            for checkpoint in (self.best, self.last):
                mend(checkpoint)

    def _set_aside(self) -> str:
        """Renames both checkpoints to the same free number; returns their new names.

        Processes that help need not wait for it: without ``last.ckpt``, and with that of a run that is over
        or another, they decide the same.
        """
        if not is_leader():
            return ""
        self.path.mkdir(parents=True, exist_ok=True)
        number = 1
        while any((self.path / f"{name}-{number}.ckpt").exists() for name in ("best", "last")):
            number += 1
        renamed: list[str] = []
        for file in (self.last, self.best):
            if file.exists():
                renamed.append(f"{file.stem}-{number}.ckpt")
                file.rename(self.path / renamed[-1])
        return ", ".join(renamed)

    def _read(self) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", json.loads((self.path / "run.json").read_text()))
        except (FileNotFoundError, ValueError):  # none yet, or not ours
            return {}

    def _write(self, content: dict[str, Any]) -> None:
        if not is_leader():
            return
        partial = self.path / "run.json.partial"
        partial.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(partial, self.path / "run.json")  # noqa: PTH105  # atomic, and said so
