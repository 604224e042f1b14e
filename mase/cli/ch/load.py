"""What a run starts from: ``--load`` and ``--load-type``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mase.cli.ch.settings import LoadType
from mase.ir.diagnostics import MaseError, UsageError

__all__ = ["Start", "find_start"]

_BY_ENDING: dict[str, LoadType] = {
    ".ckpt": "pl",
    ".pt": "pt",
    ".pth": "pt",
    ".bin": "pt",
    ".safetensors": "pt",
    ".toml": "mz",
}
_GRAPHS = ("graph.toml", "software/graph.toml")
_BY_CONTENT: tuple[tuple[str, LoadType], ...] = (
    *((name, "mz") for name in _GRAPHS),
    ("config.json", "hf"),
    ("weights.ckpt", "pl"),  # of strategies whose checkpoints are folders of parts
)


@dataclass(frozen=True)
class Start:
    """A file or folder that weights come from.

    Args:
        file: where; the graph.toml itself if its folder was named.
        kind: what it is.
    """

    file: Path
    kind: LoadType

    @property
    def is_weights(self) -> bool:
        """Whether it holds weights alone, and the model has to be named beside."""
        return self.kind in ("pl", "pt")


def find_start(load: str | None, load_type: LoadType | None) -> Start | None:
    """What the settings mean.

    Args:
        load: a path.
        load_type: what it is; by its name if None.

    Raises:
        UsageError: if the type is given without a path or cannot be told.
        MaseError: if there is nothing at the path.

    Example:
        >>> find_start(None, None) is None
        True
    """
    if load is None:
        if load_type is not None:
            raise UsageError.of("--load-type without --load", help="say which file to load")
        return None
    path = Path(load)
    if not path.exists():
        raise MaseError.of(f"there is nothing to load at {load}", help=_beside(path))
    kind = load_type or _guess(path)
    if kind == "mz" and path.is_dir():
        path = next((path / name for name in _GRAPHS if (path / name).is_file()), path)
    if path.is_dir() != (kind == "hf") and not (kind == "pl" and _guess_by_content(path) == "pl"):
        what = "a folder without graph.toml" if kind == "mz" else "a folder" if path.is_dir() else "a file"
        raise UsageError.of(f"{load} is {what}, which --load-type {kind} does not take")
    return Start(path, kind)


def _guess(path: Path) -> LoadType:
    found = _guess_by_content(path) if path.is_dir() else _BY_ENDING.get(path.suffix)
    if found is None:
        raise UsageError.of(f"{path} does not tell what it is", help="say --load-type pl, pt, mz or hf")
    return found


def _guess_by_content(folder: Path) -> LoadType | None:
    return next((kind for name, kind in _BY_CONTENT if (folder / name).is_file()), None)


def _beside(path: Path) -> str | None:
    folder = next((parent for parent in path.parents if parent.is_dir()), None)
    names = sorted(entry.name for entry in folder.iterdir())[:8] if folder else []
    return f"{folder} holds {', '.join(names)}" if names else None
