"""The folder of a project: where it is, what lies in it, and whether a run in it was cut off.

mase_output/MODEL_TASK_DATASET_DATE/
  software/
    graph.toml graph.safetensors results.csv        of ``train``
    training_ckpts/  tensorboard/  csv/             of ``train``
    test/  transform/  search_ckpts/                of the other actions: graph.toml and what they found
  hardware/
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import chain, count
from pathlib import Path
from typing import Any

from mase.cli.ch.settings import Action
from mase.ir.diagnostics import MaseError, UsageError
from mase.ir.files import write_atomically

__all__ = ["Project", "command_key", "find_project", "project_stem"]

_FOLDERS: Mapping[Action, str] = {
    "train": "",
    "test": "test",
    "eval": "test",
    "transform": "transform",
    "search": "search_ckpts",
}


@dataclass(frozen=True)
class Project:
    """One project, for one action.

    Args:
        folder: of the project.
        action: what is done.
    """

    folder: Path
    action: Action

    @property
    def software(self) -> Path:
        """Where everything but hardware goes."""
        return self.folder / "software"

    @property
    def output(self) -> Path:
        """The resulting graph; what else the action writes lies beside it."""
        return self.software / _FOLDERS[self.action] / "graph.toml"

    @property
    def workplace(self) -> Path:
        """The folder that passes write to; ``search`` makes its own in it."""
        return self.software if self.action == "search" else self.output.parent

    def writes(self, path: Path) -> bool:
        """Whether the action may replace this file."""
        own, file = self.output.parent.resolve(), path.resolve()
        return file.parent == own or own / "training_ckpts" in file.parents

    def begin(self, key: str) -> None:
        """Make the folders, and note that a command is under way."""
        (self.folder / "hardware").mkdir(parents=True, exist_ok=True)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._mark, lambda part: _write(part, key))

    @contextmanager
    def under_way(self, key: str) -> Generator[None]:
        """Begin; a command that is refused before it has written anything leaves nothing behind."""
        before = self._files()
        new = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        self.begin(key)
        try:
            yield
        except MaseError:
            if self._files() - before == {self._mark}:
                self.finish()
                for folder in (*sorted(self.folder.rglob("*/"), reverse=True), *new):
                    _remove_if_empty(folder)
            raise

    def _files(self) -> set[Path]:
        return {path for path in self.folder.rglob("*") if path.is_file()}

    def was_cut_off(self, key: str) -> bool:
        """Whether a command of this key began here and did not end."""
        return self._mark.is_file() and self._mark.read_text(encoding="utf-8") == key

    def finish(self) -> None:
        """Note that the command has ended, and its results are kept."""
        self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.software / f".unfinished-{self.action}"


def project_stem(model: str, task: str, dataset: str) -> str:
    """The name of a project without its date.

    Args:
        model: a source of a model.
        task: a task.
        dataset: a data set; empty if there is none.

    Example:
        >>> project_stem("zoo:toy", "classification", "toy-tiny"), project_stem("nets.py:Net", "", "")
        ('toy_classification_toy-tiny', 'Net')
    """
    parts = [model.rpartition(":")[2], task, dataset]
    return "_".join(re.sub(r"[^\w.-]+", "-", part).strip(".-") for part in parts if part)


def command_key(*parts: Mapping[str, Any] | str) -> str:
    """What tells one command from another: a hash of everything that has an effect on its result.

    Example:
        >>> command_key("train", {"seed": 0}) == command_key("train", {"seed": 1})
        False
    """
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def find_project(
    action: Action, root: Path, stem: str, *, name: str | None, key: str, reads: Path | None
) -> Project:
    """The project that a command works in.

    A command that was cut off finds its project again, whatever the date. A new one gets that of today;
    if it would replace the very file that it starts from, the next one: ``..._2023-07-03-2``.

    Args:
        action: what is done.
        root: the folder of all projects.
        stem: the name of the project without the date.
        name: the whole name, if the user gave one.
        key: see `command_key`.
        reads: the file that the command starts from.

    Raises:
        UsageError: if the user's project would replace the file that it starts from.
    """
    if name is not None:
        project = Project(root / name, action)
        if reads is not None and project.writes(reads):
            raise UsageError.of(
                f"{reads} would be replaced by the run that starts from it", help="choose another --project"
            )
        return project
    for folder in sorted(root.glob(f"{stem}_*"), reverse=True):
        if Project(folder, action).was_cut_off(key):
            return Project(folder, action)
    today = f"{stem}_{date.today().isoformat()}"
    for suffix in chain([""], (f"-{number}" for number in count(2))):
        project = Project(root / f"{today}{suffix}", action)
        if reads is None or not project.writes(reads):
            return project
    raise AssertionError  # there are names enough


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
