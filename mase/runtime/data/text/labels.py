"""From what a column says of a label to its number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.runtime.data.text.corpus import Rows, datasets_library, quiet

__all__ = ["Labels"]


@dataclass(frozen=True)
class Labels:
    """The labels of a data set by number.

    Args:
        names: of the labels, in the order of their numbers.
        named: whether the rows hold the names and not the numbers.
    """

    names: tuple[str, ...]
    named: bool = False

    @classmethod
    def of(cls, rows: Mapping[str, Rows], column: str, *, nested: bool = False) -> Labels:
        """The labels that the training rows have: as the source declares them, else as they are.

        Names are numbered in alphabetical order.

        Args:
            rows: by split.
            column: where the labels are.
            nested: whether a row holds a list of them.

        Raises:
            MaseError: if they are neither names nor whole numbers from 0.
        """
        feature: Any = rows["train"].features[column]
        feature = getattr(feature, "feature", feature) if nested else feature
        if isinstance(feature, datasets_library().ClassLabel):
            return cls(tuple(feature.names))
        found = _distinct(rows["train"], column, nested)
        if found and all(isinstance(value, str) for value in found):
            return cls(tuple(sorted(found)), named=True)
        if not found or not all(type(value) in (int, bool) and value >= 0 for value in found):
            examples = ", ".join(repr(value) for value in list(found)[:3])
            raise MaseError.of(
                f"labels are names or whole numbers from 0, but column {column!r} holds {examples}",
                help='for numbers to predict choose task = "regression"; name another with label = "COLUMN"',
            )
        return cls(tuple(str(number) for number in range(int(max(found)) + 1)))

    def numbers(self, values: Iterable[Any]) -> list[int]:
        """The numbers of labels, which `check` has seen."""
        if not self.named:
            return [int(value) for value in values]
        known = {name: number for number, name in enumerate(self.names)}
        return [known[value] for value in values]

    def check(self, rows: Rows, column: str, split: str, *, nested: bool = False) -> None:
        """Say so if rows hold a label that the training rows do not have.

        Raises:
            MaseError: naming it.
        """
        values = _distinct(rows, column, nested)
        known = set(self.names) if self.named else set(range(len(self.names)))
        strange = sorted(str(value) for value in values if value not in known)
        if strange:
            raise MaseError.of(
                f"the {split} split has the label {strange[0]}, none of {', '.join(self.names[:10])}",
                help="labels that are held back (-1) cannot be measured: choose another split with splits",
            )


def _distinct(rows: Rows, column: str, nested: bool) -> set[Any]:
    if nested:
        return {value for row in rows[column] for value in row}
    with quiet():
        return set(rows.unique(column))
