"""Tables of texts: from the hub of Hugging Face, or from files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mase.ir.diagnostics import MaseError

__all__ = ["Corpus", "Rows", "datasets_library", "quiet"]

Rows = Any
"""A ``datasets.Dataset``: rows of named columns, read from disk as needed."""

_ENDINGS = {
    "csv": (".csv", ".tsv"),
    "json": (".json", ".jsonl"),
    "parquet": (".parquet",),
    "text": (".txt",),
}
_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Corpus:
    """Where the rows come from.

    Args:
        kind: ``hf`` for the hub or a folder, ``csv``, ``json``, ``parquet`` or ``text`` for files.
        target: a repository of the hub, a folder or a file. The files of a folder are a split each if their
            names begin with ``train``, ``validation`` (``valid``, ``val``, ``dev``) or ``test``, and else the
            training split together.
        config: which configuration of a data set of the hub.
        revision: which version of it.
        cache_dir: where the library keeps what it read; its own default if None.
        options: further arguments of the reader.
    """

    kind: str
    target: str
    config: str | None = None
    revision: str | None = None
    cache_dir: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def read(self, place: Callable[[str], Path]) -> dict[str, Rows]:
        """The rows by split, with the names of the source.

        Args:
            place: finds a file or folder of this name.

        Raises:
            MaseError: if there is nothing of this name, or it cannot be read or downloaded.
        """
        library, path = datasets_library(), place(self.target)
        try:
            with quiet():
                found = self._hub(library, path) if self.kind == "hf" else self._files(library, path)
        except (OSError, ValueError, library.exceptions.DatasetsError) as error:
            raise self._unreadable(error, path) from error
        return {str(split): rows for split, rows in found.items()}

    def _hub(self, library: Any, path: Path) -> dict[str, Rows]:
        if (path / "dataset_dict.json").is_file():
            return library.load_from_disk(str(path))
        if (path / "state.json").is_file():
            return {"train": library.load_from_disk(str(path))}
        name = str(path) if path.is_dir() else self.target
        return library.load_dataset(name, self.config, revision=self.revision, cache_dir=self.cache_dir)

    def _files(self, library: Any, path: Path) -> dict[str, Rows]:
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
        endings = _ENDINGS[self.kind]
        files = _by_split(path, endings) if path.is_dir() else {"train": [path]}
        if not files:
            raise FileNotFoundError(f"{path} holds no file that ends in {' or '.join(endings)}")
        options = dict(self.options)
        if self.kind == "csv" and {f.suffix for group in files.values() for f in group} == {".tsv"}:
            options.setdefault("delimiter", "\t")
        named = {split: [str(file) for file in group] for split, group in files.items()}
        return library.load_dataset(self.kind, data_files=named, cache_dir=self.cache_dir, **options)

    def _unreadable(self, error: Exception, path: Path) -> MaseError:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if self.kind != "hf" or path.is_dir():
            return MaseError.of(f"data set {self.kind}:{self.target} cannot be read: {reason}")
        return MaseError.of(
            f"data set hf:{self.target} cannot be downloaded: {reason}",
            help="fetch it where there is a network (datasets.load_dataset(...).save_to_disk(DIR)) and name "
            "that folder, hf:DIR; or name files of your own with csv:, json:, parquet: or text:. With "
            "HF_HUB_OFFLINE=1 nothing but the library's cache is tried",
        )


def datasets_library() -> Any:
    """The library ``datasets``.

    Raises:
        MaseError: if it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MaseError.of(
            f"data sets of texts need the library datasets: {error}", help="pip install 'mase[hf]'"
        ) from None
    return cast(Any, datasets)


def _by_split(folder: Path, endings: tuple[str, ...]) -> dict[str, list[Path]]:
    files = sorted(file for file in folder.iterdir() if file.suffix in endings)
    found = {
        split: [file for file in files if file.name.lower().startswith(names)]
        for split, names in _NAMES.items()
    }
    named = {split: group for split, group in found.items() if group}
    return named or ({"train": files} if files else {})


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars of the library where nobody watches."""
    library = datasets_library()
    if sys.stderr.isatty() or library.utils.logging.is_progress_bar_enabled() is False:
        yield
        return
    library.disable_progress_bars()
    try:
        yield
    finally:
        library.enable_progress_bars()
