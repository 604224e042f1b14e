"""Images that fit in memory, as bytes there and as normalised floats in a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mase.runtime.data.images.augment import Augmentation
from mase.runtime.data.images.draws import Draws

__all__ = ["Pictures"]


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Images and labels.

    Args:
        images: bytes of shape (samples, channels, height, width).
        labels: of shape (samples,).
        mean: what to subtract from each channel, after a division by 255.
        std: what to divide each channel by then.
        augmentation: how to change each image, anew in each epoch.
        seed: of the augmentation.

    Example:
        >>> images = np.full((2, 1, 2, 2), 255, np.uint8)
        >>> pictures = Pictures(images, np.array([0, 1]), mean=(0.5,), std=(0.25,))
        >>> pictures[1][0].tolist(), pictures[1][1].item()
        ([[[2.0, 2.0], [2.0, 2.0]]], 1)
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.images = torch.from_numpy(images)  # pyright: ignore[reportUnknownMemberType]
        self.labels = torch.from_numpy(labels)  # pyright: ignore[reportUnknownMemberType]
        self._mean = torch.tensor(mean)[:, None, None]
        self._std = torch.tensor(std)[:, None, None]
        self._augmentation = augmentation
        self._draws = Draws(seed, samples=len(labels), numbers=Augmentation.numbers)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        """The samples of a batch; torch asks for all of them at once, which is several times faster."""
        images = self.images[indices]
        if self._augmentation is not None:
            images = self._augmentation(images, self._draws.at(indices))
        normalised = (images.float() / 255 - self._mean) / self._std
        return list(zip(normalised, self.labels[indices], strict=True))

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch, with an augmentation of its own."""
        self._draws.set_epoch(epoch)
