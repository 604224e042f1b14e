"""Where a study lives: in memory, in a journal file, or in a database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from mase.ir.diagnostics import MaseError

__all__ = ["FileLock", "open_storage"]


def open_storage(where: str | Path | None) -> BaseStorage:
    """Open, and make if need be, the storage of studies.

    Args:
        where: a file for a journal, the URL of a database (``sqlite:///study.db``), or None for memory.

    Raises:
        MaseError: if it cannot be opened.
    """
    if where is None:
        return InMemoryStorage()
    try:
        if "://" in str(where):
            return RDBStorage(str(where))
        path = Path(where)
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=FileLock.of(path)))
    except Exception as error:  # each database has errors of its own
        raise MaseError.of(
            f"cannot open the study in {str(where)!r}: {error}",
            help="give a file, or a URL such as sqlite:///study.db",
        ) from error


class FileLock(JournalFileOpenLock):
    """A lock that the system drops with the process that held it, so that none is left by a killed one.

    Who takes it finds the journal whole: the end of a line that was cut off with its writer is removed.

    Args:
        journal: the file to protect.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal = journal
        self._held: IO[bytes] | None = None

    @staticmethod
    def of(journal: Path) -> JournalFileOpenLock:
        """The lock for a journal; optuna's own where the system has no ``flock``."""
        return FileLock(journal) if os.name == "posix" else JournalFileOpenLock(str(journal))

    def acquire(self) -> bool:
        import fcntl

        self._held = self._journal.with_suffix(".lock").open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._mend()
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _mend(self) -> None:
        with self._journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
