"""Cutting samples into splits: stratified, and the same whenever and wherever it is done."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["Index", "cut", "first"]

Index: TypeAlias = NDArray[np.int64]

_SEED = 0  # part of the definition: splits never depend on the user's seed


def cut(index: Index, labels: NDArray[Any] | None, count: int) -> tuple[Index, Index]:
    """Takes ``count`` of some samples away, each label's fair share.

    Args:
        index: the samples that there are.
        labels: the labels of all samples, at the places that ``index`` names; None for no classes. Where a
            class is too rare to be shared out, the cut disregards classes.
        count: how many to take.

    Returns:
        The rest and what was taken, both in ascending order.

    Example:
        >>> rest, taken = cut(np.arange(10), np.arange(10) % 2, 4)
        >>> len(rest), len(taken), int((taken % 2).sum())
        (6, 4, 2)
    """
    if count == 0:
        return index, index[:0]
    from sklearn import model_selection  # a second to import, for those that cut alone

    split = cast(Any, model_selection).train_test_split
    strata = None if labels is None else labels[index]
    if strata is not None and not _divisible(strata, count):
        strata = None
    rest, taken = split(index, test_size=count, stratify=strata, random_state=_SEED)
    return np.sort(rest), np.sort(taken)


def first(index: Index, limit: int | None) -> Index:
    """At most ``limit`` of some samples, drawn evenly, in ascending order.

    Example:
        >>> first(np.arange(4), None)
        array([0, 1, 2, 3])
        >>> len(first(np.arange(1000), 10))
        10
    """
    if limit is None or limit >= len(index):
        return index
    return np.sort(np.random.RandomState(_SEED).permutation(index)[:limit])


def _divisible(strata: NDArray[Any], count: int) -> bool:
    """Whether both sides of a cut can hold every class."""
    sizes = np.unique(strata, return_counts=True)[1]
    return bool(sizes.min() >= 2 and len(sizes) <= min(count, len(strata) - count))
