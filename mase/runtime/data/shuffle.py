"""The order of the training samples: a function of the seed and the epoch, and of nothing else."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import distributed
from torch.utils.data import Dataset, DistributedSampler

__all__ = ["Share", "Shuffle", "unshared"]

_unshared = ContextVar("unshared", default=False)


@contextmanager
def unshared() -> Generator[None]:
    """Loaders that are made meanwhile give every process all samples, in the order of a single process."""
    token = _unshared.set(True)
    try:
        yield
    finally:
        _unshared.reset(token)


def _place() -> tuple[int, int]:
    """How many processes share the samples, and the number of this one."""
    if _unshared.get() or not (distributed.is_available() and distributed.is_initialized()):
        return 1, 0
    return distributed.get_world_size(), distributed.get_rank()


class Shuffle(DistributedSampler[Any]):
    """A new order in each epoch, the same whenever that epoch is run: a resumed run sees what it would have.

    With several processes each of them gets its share. Samples that change with the epoch (augmentation) have
    a method ``set_epoch`` and are told, too.

    Args:
        samples: what to take the order of.
        seed: seeds the order, together with the epoch.
        workers: the generator that the loader seeds its worker processes from; seeded here once an epoch.

    Example:
        >>> order = Shuffle(range(6), seed=0, workers=torch.Generator())
        >>> order.set_epoch(3)
        >>> sorted(order) == list(range(6)), list(order) == list(order)
        (True, True)
    """

    def __init__(self, samples: Sized, *, seed: int, workers: torch.Generator) -> None:
        processes, rank = _place()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            cast("Dataset[Any]", samples),
            num_replicas=processes,
            rank=rank,
            seed=seed * 1_000_003,  # it is added to the epoch; seeds 0 and 1 must not share orders
        )
        self._workers = workers
        self._samples: Any = samples
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        if hasattr(self._samples, "set_epoch"):
            self._samples.set_epoch(epoch)
        self._workers.manual_seed(self.seed + epoch)


class Share(DistributedSampler[Any]):
    """The samples that this process measures: every so many-th, and none twice to make the shares equal.

    All processes take the same number of batches, for a model whose parts lie in several of them runs in all
    or in none. Whose share ends a batch before the others' gets a *spare* one of one sample, which must not
    count.

    Args:
        samples: what to share; of a single process, all of them.
        batch_size: samples in a batch.

    Example:
        >>> list(Share(range(3), 2)), Share(range(3), 2).is_spare(1)
        ([0, 1, 2], False)
    """

    def __init__(self, samples: Any, batch_size: int) -> None:
        processes, rank = _place()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            samples, num_replicas=processes, rank=rank, shuffle=False
        )
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[int]:
        yield from self._own()
        yield from [0] * self._spare

    def __len__(self) -> int:
        return len(self._own()) + self._spare

    def is_spare(self, batch: int) -> bool:
        """Whether the batch of this number is there for company alone."""
        return self._spare > 0 and batch == len(self._own()) // self._batch_size

    @property
    def _spare(self) -> int:
        """How many samples the spare batch has: the first process has the most, and one more at most."""
        own = len(self._own())
        return int(own % self._batch_size == 0 and own < len(self._of(0)))

    def _own(self) -> range:
        return self._of(self.rank)

    def _of(self, rank: int) -> range:
        return range(rank, len(cast(Any, self).dataset), self.num_replicas)
