"""Batches of texts that are about equally long, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from mase.runtime.data.shuffle import Shuffle

__all__ = ["Buckets"]

_BATCHES = 50
"""So many batches are sorted at a time: enough to save padding, few enough to stay random."""


class Buckets(Shuffle):
    """An order as random as `Shuffle`'s but for batches, whose samples have about the same length.

    Args:
        lengths: of each sample, in tokens.
        batch_size: samples in a batch.
        seed: as for `Shuffle`.
        workers: as for `Shuffle`.

    Example:
        >>> order = Buckets([5, 1, 5, 1, 5, 1], batch_size=3, seed=0, workers=torch.Generator())
        >>> found = list(order)
        >>> sorted(sorted(found[i : i + 3]) for i in (0, 3))
        [[0, 2, 4], [1, 3, 5]]
    """

    def __init__(
        self, lengths: Sequence[int], *, batch_size: int, seed: int, workers: torch.Generator
    ) -> None:
        self._lengths, self._batch_size = np.asarray(lengths), batch_size
        super().__init__(lengths, seed=seed, workers=workers)

    def __iter__(self) -> Iterator[Any]:
        order = np.asarray(list(super().__iter__()))
        chance = np.random.RandomState((self.seed + self.epoch) % 2**32)
        size = self._batch_size
        for start in range(0, len(order), size * _BATCHES):
            chunk = order[start : start + size * _BATCHES]
            falling: list[int] = chunk[np.argsort(-self._lengths[chunk], kind="stable")].tolist()
            batches = [falling[i : i + size] for i in range(0, len(falling), size)]
            short = batches.pop() if len(batches[-1]) < size else []  # has to stay the last
            for at in chance.permutation(len(batches)):
                yield from batches[at]
            yield from short
