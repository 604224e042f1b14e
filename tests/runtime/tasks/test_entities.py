"""Entities in rows of tags, against the package seqeval (1.2.2), whose figures are below."""

from __future__ import annotations

import random

import pytest
import torch

from mase.runtime.tasks.entities import EntityF1, are_tags, entities

CASES = {
    "iob2": (
        ["B-PER I-PER O B-LOC", "O B-ORG I-ORG I-ORG"],
        ["B-PER I-PER O B-ORG", "O B-ORG I-ORG O"],
        1 / 3,
    ),
    "iob1": (["I-PER I-PER O I-LOC B-LOC"], ["I-PER I-PER O I-LOC I-LOC"], 0.4),
    "another kind goes on": (["B-PER I-LOC I-LOC O"], ["B-PER I-PER I-LOC O"], 0.0),
    "iobes": (["B-A E-A S-B O B-A I-A E-A"], ["B-A E-A S-A O B-A E-A E-A"], 2 / 7),
    "up to the end": (["O O B-A I-A", "B-A"], ["O O B-A I-A", "I-A"], 1.0),
    "nothing found": (["B-A I-A"], ["O O"], 0.0),
    "without kinds": (["B I O B"], ["B I O O"], 2 / 3),
}


def score(true: list[list[str]], found: list[list[str]]) -> float:
    labels = sorted({tag for row in true + found for tag in row})
    measured = EntityF1(labels)
    for wanted, ours in zip(true, found, strict=True):
        # Between the words are tokens that have no label, and what the model says of them does not count.
        target = [number for tag in wanted for number in (-100, labels.index(tag))]
        guessed = [number for tag in ours for number in (len(labels) - 1, labels.index(tag))]
        measured.update(torch.tensor([guessed]), torch.tensor([target]))
    return float(measured.compute())


@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_of_seqeval(name: str) -> None:
    true, found, expected = CASES[name]
    rows = [[text.split() for text in texts] for texts in (true, found)]
    assert score(*rows) == pytest.approx(expected, abs=1e-6)


def test_entities_of_random_tags_are_those_of_seqeval() -> None:
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    chance = random.Random(0)
    tags = ["O", *(f"{part}-{kind}" for part in "BIES" for kind in ("X", "Y-Z"))]
    for _ in range(2000):
        row = chance.choices(tags, k=chance.randint(1, 9))
        assert entities(row) == set(seqeval.get_entities(row))


@pytest.mark.parametrize(
    ("labels", "marks"),
    [
        (["O", "B-PER", "I-PER", "B-LOC"], True),
        (["B", "I", "O"], True),
        (["0", "1", "2"], False),
        (["NOUN", "VERB", "O"], False),
        ([], False),
    ],
)
def test_labels_that_mark_entities_are_told_from_others(labels: list[str], marks: bool) -> None:
    assert are_tags(labels) is marks


def test_no_entity_at_all() -> None:
    assert score([["O", "O"]], [["O", "O"]]) == 0.0
