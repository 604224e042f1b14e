"""Pairs of texts out of packages: words with phonemes, and texts of programs in two languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from examples.packaged import cmudict, translations
from examples.packaged.package import Package, PackageError
from tests.examples.packaged import lay_out, needs

DICTIONARY = """'tis T IH1 Z
3d TH R IY2 D IY2
adapt AH0 D AE1 P T
adapt(2) AE0 D AE1 P T
nan N AE1 N
dail D OY1 L # org, irish
zero Z IY1 R OW0
"""

CATALOGUE = r"""
msgid ""
msgstr "Language: fr\n"

#: views.py:1
msgid "Open the "
"file"
msgstr ""
"Ouvrir le "
"\"fichier\""

#, fuzzy
msgid "Close"
msgstr "Ferme ?"

msgctxt "month"
msgid "May"
msgstr "mai"

msgid "one item"
msgid_plural "%d items"
msgstr[0] "un"
msgstr[1] "des"

msgid "Django"
msgstr "Django"

#~ msgid "Old"
#~ msgstr "Vieux"
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASE_OFFLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(package: Package, name: str, content: str) -> None:
    path = package.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_words_keep_their_first_pronunciation(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cmudict, "TEST", 1)
    monkeypatch.setattr(cmudict, "VALIDATION", 2)
    put(cmudict.PACKAGE, "cmudict/data/cmudict.dict", DICTIONARY)
    folder = cmudict.cmudict(tmp_path / "data")
    splits = {split: rows(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    assert [len(found) for found in splits.values()] == [2, 2, 1]
    pairs = {row["word"]: row["phonemes"] for found in splits.values() for row in found}
    assert pairs == {
        "'tis": "T IH Z",
        "adapt": "AH D AE P T",
        "nan": "N AE N",
        "dail": "D OY L",
        "zero": "Z IY R OW",
    }
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    for word, phonemes in pairs.items():
        made = tokenizer(word, text_target=phonemes)
        assert len(made["input_ids"]) == len(word) + 1
        assert made["input_ids"][-1] == made["labels"][-1] == tokenizer.eos_token_id
        assert tokenizer.decode(made["labels"], skip_special_tokens=True) == phonemes
        assert not set(made["input_ids"][:-1]) & set(made["labels"][:-1])  # a letter is no phoneme


def test_catalogues_give_sure_translations_once(cache: Path) -> None:
    pack = {
        "": {"language": "fr"},
        "menu\x04Open the file": ["Ouvrir"],
        "%1 of %2": ["%1 sur %2"],
        "Kernel": ["Noyau"],
    }
    put(translations.LABS["fr"], "x/locale/fr_FR/LC_MESSAGES/lab.json", json.dumps(pack))
    put(translations.CATALOGUES[0], "django/locale/fr/LC_MESSAGES/django.po", CATALOGUE)
    put(translations.CATALOGUES[1], "wagtail/locale/de/LC_MESSAGES/django.po", 'msgid "No"\nmsgstr "Nein"')
    found = translations._pairs("fr")
    assert found == [
        ("Open the file", "Ouvrir"),
        ("%1 of %2", "%1 sur %2"),
        ("Kernel", "Noyau"),
        ("May", "mai"),
    ]
    entry = CATALOGUE.split("\n\n")[1]
    assert translations._entry(entry) == ("Open the file", 'Ouvrir le "fichier"')


def test_packages_without_texts_are_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="hold only 0 texts in 'de'"):
        translations.english_german(tmp_path)
    with pytest.raises(PackageError, match="no dictionary"):
        cmudict.cmudict(tmp_path)


@pytest.mark.slow
@needs("cmudict", "en-fr", "en-de")
def test_the_real_sets(tmp_path: Path) -> None:
    lay_out(tmp_path, "cmudict", "en-fr", "en-de")
    sizes = {"cmudict": 121_926, "en-fr": 5_552, "en-de": 2_907}
    for name, size in sizes.items():
        train, test = rows(tmp_path / name / "train.jsonl"), rows(tmp_path / name / "test.jsonl")
        assert len(train) == size
        assert not {str(row) for row in train} & {str(row) for row in test}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "en-fr/tokenizer")
    for row in rows(tmp_path / "en-fr/test.jsonl"):
        for text in row["translation"].values():
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
