"""State: a graph's weights, apart from the graph, keyed by the model's own ``state_dict`` names.

Types are always known; tensors load one by one from a safetensors file when first asked for, so
that a graph prints, compares and verifies without its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.format import Format
from mase.ir.formats import Dtype
from mase.ir.storage import storage
from mase.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Entry", "Kind", "State", "WeightFile"]

Kind = Literal["parameter", "frozen", "buffer", "constant"]
"""A trainable parameter, one without gradient, a persistent buffer, a non-persistent buffer."""


@dataclass(frozen=True)
class Entry:
    """What is known of a tensor without loading it.

    Example:
        >>> from mase.ir.types import parse_type
        >>> str(Entry(parse_type("f32[10]"), "buffer"))
        'buffer f32[10]'
    """

    type: TensorType
    kind: Kind = "parameter"
    stored: Format | None = None
    """The format whose codes a file holds instead of the numbers; every number is on its grid."""

    def __str__(self) -> str:
        text = str(self.type) if self.kind == "parameter" else f"{self.kind} {self.type}"
        return text if self.stored is None else f"{text} as {self.stored}"


@dataclass(frozen=True)
class WeightFile:
    """A safetensors file and the SHA-256 it must have."""

    path: Path
    sha256: str

    def check(self) -> None:
        """Raise MaseError if the file is missing or is not the one that was written."""
        if not self.path.is_file():
            raise MaseError.of(
                f"weights file {self.path} is missing", help="copy it beside the graph.toml that names it"
            )
        if file_sha256(self.path) != self.sha256:
            raise MaseError.of(
                f"weights file {self.path} does not match the sha256 in the graph",
                help="restore the file that was written with the graph, or re-create both",
            )

    def parts(self, key: str) -> dict[str, Tensor]:
        """What the file holds of ``key``: under ``""`` the tensor or its codes, by name what codes need.

        Raises:
            MaseError: if the file is missing or damaged, or has no such tensor.
        """
        tensors, names = self._open
        if "" not in names.get(key, {}):
            raise MaseError.of(f"weights file {self.path} has no tensor {key!r}")
        return {part: tensors.get_tensor(name) for part, name in names[key].items()}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "sha256": self.sha256}  # a copy opens the file anew

    @cached_property
    def _open(self) -> tuple[Any, dict[str, dict[str, str]]]:
        """The file, checked and opened once, and the names of its tensors by key and part."""
        self.check()
        from safetensors import safe_open

        tensors = cast(Any, safe_open)(self.path, framework="pt")
        names: dict[str, dict[str, str]] = {}
        for name in cast("list[str]", tensors.keys()):
            key, _, part = name.partition("#")
            names.setdefault(key, {})[part] = name
        return tensors, names


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class State:
    """Tensors by key; a mapping whose values load when read.

    Example:
        >>> import torch
        >>> state = State()
        >>> state["l.weight"] = torch.zeros(2, 3)
        >>> str(state.entry("l.weight")), tuple(state["l.weight"].shape)
        ('f32[2,3]', (2, 3))
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._entries: dict[str, Entry] = {}
        self._aliases: dict[str, str] = {}
        self._tensors: dict[str, Tensor] = {}
        self._scales: dict[str, Mapping[str, Tensor]] = {}
        self._file: WeightFile | None = None
        self._changed = changed
        self._clean = True

    # -- what is known without tensors ------------------------------------------------------

    @property
    def aliases(self) -> dict[str, str]:
        """Names that share another key's tensor (tied weights), with that key."""
        return dict(self._aliases)

    @property
    def file(self) -> WeightFile | None:
        """Where tensors not yet in memory come from."""
        return self._file

    @property
    def clean(self) -> bool:
        """Whether every tensor is still as in `file`."""
        return self._clean and self._file is not None

    def resolve(self, key: str) -> str:
        """The key that holds the tensor of ``key``."""
        return self._aliases.get(key, key)

    def entry(self, key: str) -> Entry:
        """The type and kind of ``key``.

        Raises:
            MaseError: if there is no such key.
        """
        found = self._entries.get(self.resolve(key))
        if found is None:
            raise MaseError.of(f"no weight {key!r} in the state", help=did_you_mean(key, self._entries))
        return found

    def declare(
        self, key: str, type: TensorType, kind: Kind = "parameter", stored: Format | None = None
    ) -> None:
        """Make a key known before its tensor is."""
        self._entries[key] = Entry(type, kind, stored)
        self._changed()

    def store_as(self, key: str, format: Format | None, scales: Mapping[str, Tensor] | None = None) -> None:
        """Let files hold ``key`` as codes of a format on whose grid all its numbers are.

        Giving the key another tensor makes it be stored as it is again.

        Args:
            key: the key.
            format: the format; None for the numbers as they are.
            scales: those of the grid, as `Storage.pack` takes them.
        """
        key = self.resolve(key)
        self._entries[key] = replace(self.entry(key), stored=format)
        self._scales.pop(key, None)
        if scales:
            self._scales[key] = scales
        self._clean = False
        self._changed()

    def scales(self, key: str) -> Mapping[str, Tensor]:
        """What `store_as` was told of the grid of ``key``, or a file holds of it."""
        return self._scales.get(self.resolve(key), {})

    def alias(self, key: str, target: str) -> None:
        """Let ``key`` share the tensor of ``target``."""
        self._aliases[key] = self.resolve(target)
        self._changed()

    def __contains__(self, key: object) -> bool:
        return key in self._entries or key in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> dict[str, Entry]:
        """Every key that holds a tensor, with its entry, in order."""
        return dict(self._entries)

    # -- tensors ----------------------------------------------------------------------------

    def attach(self, file: WeightFile) -> None:
        """Take tensors that are not in memory from ``file`` from now on."""
        self._file, self._clean = file, not self._tensors

    def rebase(self, file: WeightFile) -> None:
        """Know that ``file`` now holds every tensor as it is in memory."""
        self._file, self._clean = file, True

    def available(self, key: str) -> bool:
        """Whether the tensor of ``key`` is in memory or can be read."""
        return key in self and (self.resolve(key) in self._tensors or self._file is not None)

    def __getitem__(self, key: str) -> Tensor:
        """The tensor of ``key``.

        Raises:
            MaseError: if the key is unknown, its file is missing or damaged, or it was never given.
        """
        key = self.resolve(key)
        entry = self.entry(key)
        if key not in self._tensors:
            self._tensors[key] = self._read(key, entry)
        return self._tensors[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        """Store a tensor (detached); a new key becomes a parameter."""
        key = self.resolve(key)
        known = self._entries.get(key)
        format = Dtype.from_torch_name(str(value.dtype).removeprefix("torch."))
        type = TensorType(format, tuple(value.shape))
        self._entries[key] = Entry(type, known.kind if known else "parameter")
        self._tensors[key] = value.detach()
        self._scales.pop(key, None)
        self._clean = False
        self._changed()

    def __delitem__(self, key: str) -> None:
        """Forget a key, its tensor and the names that share it."""
        if self._aliases.pop(key, None) is None:
            del self._entries[key]
            self._tensors.pop(key, None)
            self._scales.pop(key, None)
            self._aliases = {a: t for a, t in self._aliases.items() if t != key}
        self._clean = False
        self._changed()

    def load(self) -> None:
        """Bring every tensor into memory (before its file may be replaced)."""
        for key in self._entries:
            if self.available(key):
                self[key]

    def copy(self, changed: Callable[[], None] = lambda: None) -> State:
        """The same state, independently changeable; tensors are shared, not cloned."""
        new = State(changed)
        new._entries, new._aliases = dict(self._entries), dict(self._aliases)
        new._tensors, new._file, new._clean = dict(self._tensors), self._file, self._clean
        new._scales = dict(self._scales)
        return new

    def _read(self, key: str, entry: Entry) -> Tensor:
        if self._file is None:
            raise MaseError.of(
                f"the weights are not loaded, so {key!r} has no value",
                help="load the graph from its file (mase.load), not from its text alone",
            )
        parts = self._file.parts(key)
        value = parts[""] if entry.stored is None else storage().unpack(parts, entry.stored, entry.type)
        self._scales[key] = {part: tensor for part, tensor in parts.items() if part}
        if tuple(value.shape) != entry.type.shape:
            raise MaseError.of(
                f"weight {key!r} is {entry.type} in the graph but has shape {list(value.shape)} in the file"
            )
        return value

    def __eq__(self, other: object) -> bool:
        """Equal keys, types, kinds and aliases; values are not compared."""
        if not isinstance(other, State):
            return NotImplemented
        return self._entries == other._entries and self._aliases == other._aliases

    __hash__ = None  # type: ignore[assignment]
