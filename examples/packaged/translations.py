"""English texts of programs in French and German, from the catalogues of BSD-licensed packages."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from examples.packaged.files import write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers
from examples.packaged.tokens import save_bytes_bpe

__all__ = ["english_french", "english_german"]

LABS = {
    "fr": Package("wheel", "jupyterlab-language-pack-fr-fr==4.5.post3"),
    "de": Package("wheel", "jupyterlab-language-pack-de-de==4.5.post3"),
}
CATALOGUES = (
    Package("wheel", "django==5.2.19"),
    Package("wheel", "wagtail==8.0.1"),
    Package("wheel", "sphinx==9.0.4"),
)
TEST, VALIDATION, VOCABULARY = 300, 200, 2000
CONTEXT = "\x04"


@offers("en-fr", LABS["fr"], *CATALOGUES)
def english_french(into: Path) -> Path:
    """6,000 texts of programs in English and French, and a BPE tokenizer learnt from them (20 MB)."""
    return _write(into / "en-fr", "fr")


@offers("en-de", LABS["de"], *CATALOGUES)
def english_german(into: Path) -> Path:
    """3,400 texts of programs in English and German, and a BPE tokenizer learnt from them (20 MB)."""
    return _write(into / "en-de", "de")


def _write(target: Path, language: str) -> Path:
    pairs = _pairs(language)
    if len(pairs) <= 2 * (TEST + VALIDATION):
        raise PackageError(f"the packages hold only {len(pairs)} texts in {language!r}")
    order = np.random.RandomState(0).permutation(len(pairs))
    bounds = {"test": (0, TEST), "validation": (TEST, TEST + VALIDATION), "train": (TEST + VALIDATION, None)}
    for split, (start, end) in bounds.items():
        rows = [{"translation": {"en": pairs[i][0], language: pairs[i][1]}} for i in order[start:end]]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        write_text(target / f"{split}.jsonl", "\n".join([*lines, ""]))
        if split == "train":
            texts = (text for row in rows for text in row["translation"].values())
            save_bytes_bpe(target / "tokenizer", texts, VOCABULARY)
    return target


def _pairs(language: str) -> list[tuple[str, str]]:
    """English texts, each once, with the first translation found."""
    found: dict[str, str] = {}
    for english, other in (*_packs(language), *_catalogues(language)):
        english, other = " ".join(english.split()), " ".join(other.split())
        if other and english != other and re.search("[A-Za-z]{2}", english):
            found.setdefault(english, other)
    return list(found.items())


def _packs(language: str) -> Iterator[tuple[str, str]]:
    for file in sorted(LABS[language].folder.glob("**/LC_MESSAGES/*.json")):
        for key, texts in json.loads(file.read_text(encoding="utf-8")).items():
            if key and isinstance(texts, list) and texts and isinstance(texts[0], str):
                yield key.rpartition(CONTEXT)[2], texts[0]


def _catalogues(language: str) -> Iterator[tuple[str, str]]:
    for package in CATALOGUES:
        for file in sorted(package.folder.glob(f"**/{language}/LC_MESSAGES/*.po")):
            for entry in file.read_text(encoding="utf-8").split("\n\n"):
                if pair := _entry(entry):
                    yield pair


def _entry(text: str) -> tuple[str, str] | None:
    """The text and its translation in an entry of a .po file; None for one that is unsure or of no use."""
    parts: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("#"):
            if line.startswith("#~") or (line.startswith("#,") and "fuzzy" in line):
                return None
        elif match := re.fullmatch(r'(\w+(?:\[\d\])?)? ?(".*")', line.strip()):
            key = match[1] or key
            parts[key] = parts.get(key, "") + ast.literal_eval(match[2])
    english, other = parts.get("msgid", ""), parts.get("msgstr", "")
    return (english, other) if english and other else None
