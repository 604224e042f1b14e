"""Where a study lives: in memory, in a journal file, or in a database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from mase.ir.diagnostics import MaseError

__all__ = ["JournalLock", "ProcessLock", "claims_of", "open_storage"]


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
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))
    except Exception as error:  # each database has errors of its own
        raise MaseError.of(
            f"cannot open the study in {str(where)!r}: {error}",
            help="give a file, or a URL such as sqlite:///study.db",
        ) from error


def claims_of(where: str | Path | None) -> ProcessLock:
    """The lock under which a process begins a trial and says that it is its own.

    Args:
        where: as in `open_storage`. A database has no such lock.
    """
    if where is None or "://" in str(where):
        return ProcessLock(None)
    return ProcessLock(Path(where).with_suffix(".claims"))


class ProcessLock:
    """A lock between processes that the system drops with the one that held it, so none is ever left over.

    Args:
        file: what to lock, made if absent. With None, and on systems without ``flock``, it does nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file if os.name == "posix" else None
        self._held: IO[bytes] | None = None

    @property
    def works(self) -> bool:
        """Whether it keeps anybody out."""
        return self._file is not None

    def acquire(self) -> bool:
        """Wait for the lock."""
        if self._file is not None:
            import fcntl

            self._held = self._file.open("wb")
            fcntl.flock(self._held, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class JournalLock(JournalFileOpenLock):
    """The lock of a journal. Who takes it finds the journal whole.

    The rest of a line whose writer was killed is removed, which no reader could get over.

    Args:
        journal: the file to protect.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal = journal
        self._lock = ProcessLock(journal.with_suffix(".lock"))

    def acquire(self) -> bool:
        if not self._lock.works:
            return super().acquire()
        self._lock.acquire()
        self._mend()
        return True

    def release(self) -> None:
        if self._lock.works:
            self._lock.release()
        else:
            super().release()

    def _mend(self) -> None:
        with self._journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
