"""Tokenizers of transformers, from a folder or the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mase.ir.diagnostics import MaseError

__all__ = ["digest", "load_tokenizer"]

_HELP = (
    'write [data] tokenizer = "DIR", a folder that a tokenizer\'s save_pretrained wrote, or the name of a '
    "repository of the hub; by default it is that of the hf: model"
)


def load_tokenizer(name: str | None, place: Callable[[str], Path]) -> Any:
    """The tokenizer of this name.

    Args:
        name: a folder, a repository of the hub, or either and a GGUF file in it.
        place: finds a file or folder of this name.

    Raises:
        MaseError: if none is named, or it cannot be read or downloaded.
    """
    if name is None:
        raise MaseError.of("the data set needs a tokenizer", help=_HELP)
    from transformers import AutoTokenizer

    auto: Any = AutoTokenizer
    path, options = place(name), {}
    found = str(path) if path.exists() else name
    if Path(found).suffix == ".gguf":
        options["gguf_file"], found = Path(found).name, str(Path(found).parent)
    try:
        return auto.from_pretrained(found, **options)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MaseError.of(f"tokenizer {name!r} cannot be read: {reason}", help=_HELP) from error


def digest(tokenizer: Any, *settings: Any) -> str:
    """A hash of what decides the tokens: the tokenizer, without the traces that calls leave, and settings."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        described = json.loads(backend.to_str())
        described.update(truncation=None, padding=None)
    else:
        described = sorted(tokenizer.get_vocab().items())
    text = json.dumps([type(tokenizer).__name__, described, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
