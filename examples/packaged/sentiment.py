"""Sentences of film reviews with their sentiment from ``vaderSentiment`` (MIT)."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np

from examples.packaged.files import write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["sentiment"]

PACKAGE = Package(
    "sdist",
    "vaderSentiment==3.3.2",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
)
INSIDE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
LEAST = 0.5
"""Mean ratings (-4 to 4) nearer to 0 than this are neither good nor bad, and left out."""


@offers("sentiment", PACKAGE)
def sentiment(into: Path) -> Path:
    """10,070 sentences of film reviews, good (1) or bad (0): `csv:data/sentiment` of mase reads them."""
    found = sorted(PACKAGE.folder.glob("vader*/additional_resources/hutto_ICWSM_2014.tar.gz"))
    if not found:
        raise PackageError(f"{PACKAGE.spec} holds no ratings")
    with tarfile.open(found[0]) as archive:
        member = archive.extractfile(INSIDE)
        assert member is not None
        rows = _rows(member.read().decode("utf-8", "replace"))
    order = np.random.RandomState(0).permutation(len(rows))
    cut = len(rows) // 5
    for split, index in (("train", order[cut:]), ("test", order[:cut])):
        write_text(into / "sentiment" / f"{split}.csv", _csv([rows[i] for i in index]))
    return into / "sentiment"


def _rows(text: str) -> list[tuple[str, int]]:
    """Sentence and label; a sentence that occurs twice counts once, so that no split knows another's."""
    ratings: dict[str, float] = {}
    for line in text.splitlines():
        parts = line.split("\t", 2)
        if len(parts) == 3 and parts[2].strip():
            ratings[parts[2].strip()] = float(parts[1])
    return [(said, int(mean > 0)) for said, mean in ratings.items() if abs(mean) >= LEAST]


def _csv(rows: list[tuple[str, int]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    return written.getvalue()
