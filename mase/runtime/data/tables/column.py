"""A column of a table: numbers, or words of a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mase.ir.diagnostics import MaseError

__all__ = ["Column", "Floats", "column_of", "encode", "feature_names"]

Floats: TypeAlias = NDArray[np.float64]

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "<null>", "none"})
"""What stands for a value that is not there, in lower case."""

MOST_WORDS = 256
"""Of a feature; a column with more of them is an identifier or a text, and no feature."""


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        name: what it is called.
        values: the numbers, or the places of the words in ``words``; not a number where a value is missing.
        words: the vocabulary; empty for a column of numbers.
    """

    name: str
    values: Floats
    words: tuple[str, ...] = ()

    def with_words(self, words: tuple[str, ...]) -> Column:
        """The same column in terms of another vocabulary.

        Raises:
            MaseError: if it holds a word that is not in there.

        Example:
            >>> column_of("x", ["b", "a"]).with_words(("c", "b", "a")).values
            array([1., 2.])
        """
        if not words and not self.words:
            return self
        known = {word: place for place, word in enumerate(words)}
        own = self.words or tuple(f"{value:g}" for value in np.unique(self.values))
        if unknown := [word for word in own if word not in known]:
            raise MaseError.of(
                f"column {self.name!r} holds {unknown[0]!r}, which the training file does not",
                help="let all files hold the same kinds of values",
            )
        places = np.array([known[word] for word in own], np.float64)
        codes = self.values if self.words else np.unique(self.values, return_inverse=True)[1]
        missing = np.isnan(self.values)
        values = places[np.where(missing, 0, codes).astype(np.int64)]
        return Column(self.name, np.where(missing, np.nan, values), words)


def column_of(name: str, cells: Sequence[str]) -> Column:
    """The column that a file spells out: of numbers if all of it are, else of words, in their order.

    Example:
        >>> column_of("x", ["1", "?", "2.5"]).values
        array([1. , nan, 2.5])
        >>> column_of("x", ["b", "a", "b"])
        Column(name='x', values=array([1., 0., 1.]), words=('a', 'b'))
    """
    filled = [None if cell.strip().lower() in MISSING else cell.strip() for cell in cells]
    try:
        return Column(name, np.array([np.nan if cell is None else float(cell) for cell in filled]))
    except ValueError:
        words = sorted({cell for cell in filled if cell is not None})
        places = {word: float(place) for place, word in enumerate(words)}
        return Column(
            name, np.array([np.nan if cell is None else places[cell] for cell in filled]), tuple(words)
        )


def feature_names(columns: Sequence[Column]) -> list[str]:
    """The names of the numbers that `encode` makes of a row."""
    return [
        name for c in columns for name in ([f"{c.name}={word}" for word in c.words] if c.words else [c.name])
    ]


def encode(columns: Sequence[Column]) -> Floats:
    """A row of numbers for each row of a table: a column of words becomes a 0 or 1 for each word.

    Raises:
        MaseError: if a column has too many words to be a feature.

    Example:
        >>> encode([column_of("x", ["1", "2"]), column_of("y", ["b", "a"])])
        array([[1., 0., 1.],
               [2., 1., 0.]])
    """
    blocks: list[Floats] = []
    for column in columns:
        if len(column.words) > MOST_WORDS:
            raise MaseError.of(
                f"column {column.name!r} holds {len(column.words)} different words, too many for a feature",
                help="name the columns to use in [data] features",
            )
        values = column.values[:, None]
        if column.words:
            values = np.where(np.isnan(values), np.nan, values == np.arange(len(column.words)))
        blocks.append(values)
    return np.concatenate(blocks, axis=1)
