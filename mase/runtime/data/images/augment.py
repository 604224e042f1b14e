"""Random changes of small images that keep what is in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["AUGMENTATIONS", "Augmentation"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Moves an image by some pixels, mirrors it, or both.

    Args:
        padding: black pixels around the image before it is cut to its size again, at a random place.
        mirror: whether half of the images are mirrored.
    """

    padding: int = 0
    mirror: bool = False
    numbers = 3
    """How many random numbers a sample needs."""

    def __call__(self, images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
        """Changed images.

        Args:
            images: of shape (samples, channels, height, width).
            drawn: numbers from 0 to below 1, of shape (samples, 3).

        Example:
            >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
            >>> Augmentation(mirror=True)(image, np.array([[0.0, 0.0, 0.9]])).tolist()
            [[[[2, 1], [4, 3]]]]
        """
        height, width = images.shape[-2:]
        places = torch.as_tensor((drawn[:, :2] * (2 * self.padding + 1)).astype(np.int64))
        rows = places[:, :1] + torch.arange(height)
        columns = places[:, 1:] + torch.arange(width)
        if self.mirror:
            mirrored = torch.as_tensor(drawn[:, 2] >= 0.5)[:, None]
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = F.pad(images, [self.padding] * 4)
        sample = torch.arange(len(images))[:, None, None]
        return padded.movedim(1, -1)[sample, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


AUGMENTATIONS = {
    "none": None,
    "crop": Augmentation(padding=4),
    "flip": Augmentation(mirror=True),
    "crop-flip": Augmentation(padding=4, mirror=True),
}
"""By the names that users write."""
