"""What augmentation draws: a function of the seed, the epoch and the sample, and of nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws"]


class Draws:
    """Uniform numbers from 0 to below 1 for each sample, new ones in each epoch.

    A resumed run, and a run with more or fewer workers or processes, draws the same.

    Args:
        seed: the user's.
        samples: how many there are.
        numbers: how many each of them needs.

    Example:
        >>> draws, again = Draws(0, samples=5, numbers=2), Draws(0, samples=5, numbers=2)
        >>> draws.set_epoch(3), again.set_epoch(3)
        (None, None)
        >>> draws.at([4]).shape, bool((draws.at([4]) == again.at([4])).all())
        ((1, 2), True)
    """

    def __init__(self, seed: int, *, samples: int, numbers: int) -> None:
        self._seed = seed
        self._shape = (samples, numbers)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch."""
        self._epoch = epoch
        self._drawn: NDArray[np.float64] | None = None

    def at(self, index: list[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """The numbers of some samples, of shape (samples, numbers)."""
        if self._drawn is None:
            # RandomState, not default_rng: numpy promises that its stream never changes.
            self._drawn = np.random.RandomState([self._seed, self._epoch]).random_sample(self._shape)
        return self._drawn[index]
