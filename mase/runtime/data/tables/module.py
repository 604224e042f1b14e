"""Base of the data sets that are tables: rows of numbers, and what to tell from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.data.base import DataModule, Splits
from mase.runtime.data.options import choice, flag, fraction, integer
from mase.runtime.data.splitting import cut, first
from mase.runtime.data.tables.column import Column, Floats, encode, feature_names

__all__ = ["TableModule"]

Rows: TypeAlias = tuple[Floats, Floats]
"""Features and targets."""

_TASKS = {"classification": "tabular-classification", "regression": "regression"}
_MOST_CLASSES = 50


class TableModule(DataModule):
    """A table: a subclass gives its columns.

    Features are numbers; a column of words becomes a 0 or 1 for each word. The target is a class where it is
    a word, or a whole number of which there are at most 50 different ones; else it is a number to estimate.

    Args:
        target: the column to tell, by its name or its place; by default the last.
        features: the columns to tell it from; by default all others.
        kind: ``"classification"`` or ``"regression"``, where the target does not say it by itself.
        standardize: subtract the mean of each feature and divide by its standard deviation, both of them of
            the training split.
        standardize_target: the same for the target of a regression.
        validation: the fraction of the rows that chooses the best epoch; the cut is fixed, and stratified
            by class.
        test: the fraction of the rows for the test, cut in the same way.
        missing: what to do with rows that lack a value: ``"error"`` or ``"drop"``.
        limit: use at most so many rows of each split.
        options: those of every data set.
    """

    def __init__(
        self,
        *,
        target: str | int = -1,
        features: Sequence[str] | None = None,
        kind: str | None = None,
        standardize: bool = True,
        standardize_target: bool = False,
        validation: float = 0.1,
        test: float = 0.2,
        missing: str = "error",
        limit: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._target, self._features = target, features
        self._kind = None if kind is None else choice("kind", kind, _TASKS)
        self.standardize = flag("standardize", standardize)
        self.standardize_target = flag("standardize_target", standardize_target)
        self.validation = fraction("validation", validation)
        self.test = fraction("test", test)
        self.missing = choice("missing", missing, ("error", "drop"))
        self.limit = None if limit is None else integer("limit", limit, 1)

    @abstractmethod
    def columns(self) -> list[Column]:
        """The table; its rows are split."""

    def others(self) -> dict[str, list[Column]]:
        """Tables with the rows of ``val`` and ``test``, where they are not cut from the first."""
        return {}

    # What the table says is known once it is read.

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels; none for a regression."""
        return self._target_column.words

    @property
    def num_classes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many labels there are; 0 for a regression."""
        return len(self.classes)

    @property
    def feature_names(self) -> list[str]:
        """What the numbers of a row are called."""
        return feature_names(self._feature_columns)

    @property
    def input_type(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A row of numbers for each sample."""
        return f"f32[N,{len(self.feature_names)}]"

    @property
    def task(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one that the target is for."""
        return _TASKS["classification" if self.classes else "regression"]

    def load(self) -> Splits:
        given = {split: self._rows(self._like_training(columns)) for split, columns in self.others().items()}
        rows = self._rows([*self._feature_columns, self._target_column])
        labels = rows[1].astype(np.int64) if self.classes else None
        count = len(rows[1])
        index = np.arange(count)
        index, test = cut(index, labels, 0 if "test" in given else round(self.test * count))
        train, val = cut(index, labels, 0 if "val" in given else round(self.validation * count))
        parts = {"train": train, "val": val, "test": test}
        cuts = {split: (rows[0][at], rows[1][at]) for split, at in parts.items()} | given
        scale = _Scale.of(cuts["train"], features=self.standardize, target=self.standardize_target)
        return Splits(**{split: self._samples(scale(part)) for split, part in cuts.items()})

    def _samples(self, rows: Rows) -> TensorDataset:
        chosen = first(np.arange(len(rows[1])), self.limit)
        target = rows[1][chosen].astype(np.int64 if self.classes else np.float32)
        features = rows[0][chosen].astype(np.float32)
        return TensorDataset(torch.as_tensor(features), torch.as_tensor(target))

    def _rows(self, columns: list[Column]) -> Rows:
        features, target = encode(columns[:-1]), columns[-1].values
        bad = np.isnan(features).any(1) | np.isnan(target)
        if bad.any() and self.missing == "error":
            holes = [column.name for column in columns if np.isnan(column.values).any()]
            raise MaseError.of(
                f"{int(bad.sum())} rows lack a value, in {', '.join(holes[:5])}",
                help='set [data] missing = "drop" to leave them out, or name other features',
            )
        return features[~bad], target[~bad]

    def _like_training(self, columns: list[Column]) -> list[Column]:
        """The columns of another file, in the order and the words of the training file."""
        by_name = {column.name: column for column in columns}
        chosen = [*self._feature_columns, self._target_column]
        for column in chosen:
            if column.name not in by_name:
                raise MaseError.of(
                    f"a file for val or test has no column {column.name!r}",
                    help=did_you_mean(column.name, by_name),
                )
        return [by_name[column.name].with_words(column.words) for column in chosen]

    @cached_property
    def _table(self) -> list[Column]:
        columns = self.columns()
        names = [column.name for column in columns]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise MaseError.of(f"two columns are called {doubled!r}", help="give each a name of its own")
        return columns

    @cached_property
    def _target_column(self) -> Column:
        target = self._target
        if isinstance(target, int) and not isinstance(target, bool):
            if not -len(self._table) <= target < len(self._table):
                raise MaseError.of(f"target is {target}, but there are {len(self._table)} columns")
            column = self._table[target]
        else:
            column = self._named(str(target))
        kind = self._kind or ("classification" if _is_class(column) else "regression")
        if kind == "classification":
            return column if column.words else _as_words(column)
        if column.words:
            raise MaseError.of(
                f"the target {column.name!r} holds words, such as {column.words[0]!r}, and no numbers",
                help='name another [data] target, or leave kind = "regression" out',
            )
        return column

    @cached_property
    def _feature_columns(self) -> list[Column]:
        target = self._target_column.name
        if self._features is None:
            return [column for column in self._table if column.name != target]
        if target in self._features:
            raise MaseError.of(
                f"the target {target!r} is one of the features", help="take it out of features"
            )
        if not self._features:
            raise MaseError.of("features names no column", help="leave it out for all but the target")
        return [self._named(name) for name in self._features]

    def _named(self, name: str) -> Column:
        found = {column.name: column for column in self._table}
        if name not in found:
            raise MaseError.of(
                f"data set {self.name!r} has no column {name!r}", help=did_you_mean(name, found)
            )
        return found[name]


class _Scale:
    """What makes the training split have mean 0 and standard deviation 1."""

    def __init__(self, features: Rows, target: Rows) -> None:
        self._features, self._target = features, target

    @staticmethod
    def of(rows: Rows, *, features: bool, target: bool) -> _Scale:
        return _Scale(_moments(rows[0], wanted=features), _moments(rows[1], wanted=target))

    def __call__(self, rows: Rows) -> Rows:
        (mean, std), (target_mean, target_std) = self._features, self._target
        return (rows[0] - mean) / std, (rows[1] - target_mean) / target_std


def _moments(values: Floats, *, wanted: bool) -> Rows:
    """Mean and standard deviation; 0 and 1 if not wanted. A constant is only moved."""
    if not wanted or not len(values):
        return np.zeros(values.shape[1:]), np.ones(values.shape[1:])
    std: NDArray[np.float64] = values.std(0)
    return values.mean(0), np.where(std > 0, std, 1.0)


def _is_class(column: Column) -> bool:
    if column.words:
        return True
    different = np.unique(column.values[~np.isnan(column.values)])
    return len(different) <= _MOST_CLASSES and bool((different == np.round(different)).all())


def _as_words(column: Column) -> Column:
    """Whole numbers as the names of classes."""
    missing = np.isnan(column.values)
    different, codes = np.unique(column.values[~missing], return_inverse=True)
    values = np.full(len(missing), np.nan)
    values[~missing] = codes
    return Column(column.name, values, tuple(f"{value:g}" for value in different))
