"""Graphs in files: ``graph.toml`` beside ``graph.safetensors``, each written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph
from mase.ir.parser import Document, parse_document
from mase.ir.printer import dumps
from mase.ir.processes import is_leader
from mase.ir.state import State, WeightFile, file_sha256
from mase.ir.storage import storage

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_document", "read_text", "save", "write_atomically"]


def read_document(path: str | Path) -> Document:
    """Read a graph or a recipe from a file.

    Raises:
        MaseError: if the file cannot be read or is malformed.
    """
    path = Path(path)
    if (remedy := _REMEDIES.get(path.suffix)) and path.is_file():
        raise MaseError.of(f"{path} is no graph.toml", help=remedy.format(path=path))
    return parse_document(read_text(path), file=str(path), base_dir=path.parent)


def read_text(path: str | Path) -> str:
    """Read a text file.

    Raises:
        MaseError: if it cannot be read, with a remedy.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MaseError.of(f"no file {path}", help=_neighbours(path)) from None
    except IsADirectoryError:
        raise MaseError.of(
            f"{path} is a folder", help=f"name the file in it: {path / 'graph.toml'}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MaseError.of(f"cannot read {path}: {error}") from None


_REMEDIES = {
    ".py": 'write a recipe that names it: [model] source = "{path}:Net"',
    ".onnx": 'write a recipe that names it: [model] source = "onnx:{path}"',
    ".safetensors": "name the graph.toml beside it, which says what the weights are for",
    ".ckpt": "name the graph.toml of the model; `load` takes the weights of a checkpoint",
    ".pt": "name the graph.toml of the model; `load` takes the weights of a checkpoint",
    ".pth": "name the graph.toml of the model; `load` takes the weights of a checkpoint",
}
"""What to name in place of a file that is of another kind."""


def _neighbours(path: Path) -> str | None:
    found = sorted(p.name for p in path.parent.glob("*.toml"))[:8] if path.parent.is_dir() else []
    return f"{path.parent} holds {', '.join(found)}" if found else None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file and rename it to ``path`` when it is whole.

    Of processes that run a command together only the leader does.

    Raises:
        MaseError: if there cannot be a file of this name.
    """
    if not is_leader():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise MaseError.of(f"cannot write {path}: {error.strerror}", help="choose another place") from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(graph: Graph, path: str | Path) -> None:
    """Write a graph: its text to ``path`` and its weights beside it.

    A graph whose weights were never loaded (captured on the meta device) is written without them.
    The graph then reads its weights from the new file.

    Args:
        graph: the graph.
        path: the ``.toml`` file; ``out/graph.toml`` puts the weights into ``out/graph.safetensors``.

    Raises:
        MaseError: if only some weights have values, or the files cannot be written.
    """
    path = Path(path)
    state = graph.state
    missing = [key for key in state if not state.available(key)]
    if missing and len(missing) < len(state):
        raise MaseError.of(f"{len(missing)} weights have no value, such as {missing[0]!r}")
    if not is_leader():
        return
    weights = None
    try:
        if len(state) and not missing:
            weights = _write_weights(graph, path.with_suffix(".safetensors"))
        text = dumps(graph, weights=weights, base_dir=path.parent)
        write_atomically(path, lambda p: _write_text(p, text))
    except OSError as error:
        raise MaseError.of(f"cannot write {path}: {error}") from None
    if weights is not None:
        state.rebase(weights)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _parts(state: State, key: str) -> dict[str, Tensor]:
    """What the file holds of a tensor: itself, or its codes and, after a ``#``, their scales."""
    stored = state.entry(key).stored
    value = state[key].detach().cpu().contiguous().clone()
    if stored is None:
        return {key: value}
    parts = storage().pack(value, stored, state.scales(key))
    return {f"{key}#{part}" if part else key: tensor for part, tensor in parts.items()}


def _write_weights(graph: Graph, path: Path) -> WeightFile:
    import safetensors.torch

    graph.state.load()  # the file about to be replaced may be the one they come from
    tensors = {name: part for key in graph.state for name, part in _parts(graph.state, key).items()}
    sha256 = ""

    def write(temporary: Path) -> None:
        nonlocal sha256
        cast(Any, safetensors.torch).save_file(tensors, temporary)
        sha256 = file_sha256(temporary)

    write_atomically(path, write)
    return WeightFile(path, sha256)
