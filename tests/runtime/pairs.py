"""Small sets of pairs of texts, with a tokenizer that fits the tiny encoder-decoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples.packaged.tokens import save_symbols
from mase.runtime.data import make_data

__all__ = ["WORDS", "pairs", "write_pairs"]

WORDS = ("ab", "ba", "abc", "cab", "bead", "dab", "add", "fed", "deaf", "face", "cafe", "beef")


def write_pairs(folder: Path, rows: Sequence[Any] | None = None, splits: Sequence[str] = ("train",)) -> Path:
    """Words and the same in capitals, or other rows, one file a split; and a tokenizer for both."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows or [{"text": word, "target": " ".join(word.upper())} for word in WORDS]
    for split in splits:
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    save_symbols(folder / "tokenizer", [*"abcdefgh", *"ABCDEFGH"], "[A-Z]|[a-z]")
    return folder


def pairs(folder: Path, **options: Any) -> Any:
    """The data set of a folder that `write_pairs` wrote, for training, validation and test alike."""
    if not folder.exists():
        write_pairs(folder, splits=("train", "validation", "test"))
    settings = {
        "task": "seq2seq",
        "tokenizer": str(folder / "tokenizer"),
        "batch_size": 5,
        "max_token_len": 12,
    }
    cache = str(folder.with_name("cache"))
    return make_data(f"json:{folder}", cache_dir=cache, **{**settings, **options})
