"""From a picture of any size to the tensor that a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

__all__ = ["INTERPOLATIONS", "Transform"]

INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos")


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Resizes, crops and normalises.

    Args:
        resize: pixels of the shorter side before the middle is cut out.
        size: pixels of each side of the result.
        interpolation: one of `INTERPOLATIONS`.
        mean: what to subtract from each channel, on a scale from 0 to 1; one value means grey images.
        std: what to divide each channel by then.
    """

    resize: int
    size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    numbers = 5
    """How many random numbers `augmented` needs."""

    def __call__(self, image: Image) -> Tensor:
        """The middle of an image, of shape (channels, size, size)."""
        width, height = image.size
        scale = self.resize / min(width, height)
        resized = image.resize((round(width * scale), round(height * scale)), self._resampling)
        left, top = (resized.width - self.size) // 2, (resized.height - self.size) // 2
        return self._tensor(resized.crop((left, top, left + self.size, top + self.size)))

    def augmented(self, image: Image, drawn: NDArray[np.float64] | Sequence[float]) -> Tensor:
        """A random part of an image, mirrored half of the time, of shape (channels, size, size).

        The part has from 8 to 100 percent of the area, and sides of a ratio from 3:4 to 4:3 where the image
        is large enough for that (Szegedy et al. 2014, arXiv:1409.4842).

        Args:
            image: a picture.
            drawn: five numbers from 0 to below 1.
        """
        from PIL.Image import Transpose

        share, ratio, x, y, mirrored = map(float, drawn)
        area = (0.08 + 0.92 * share) * image.width * image.height
        sides = exp((2 * ratio - 1) * log(4 / 3))  # width by height
        width = min(image.width, max(1, round(sqrt(area * sides))))
        height = min(image.height, max(1, round(sqrt(area / sides))))
        left, top = int(x * (image.width - width + 1)), int(y * (image.height - height + 1))
        box = (left, top, left + width, top + height)
        part = image.resize((self.size, self.size), self._resampling, box)
        return self._tensor(part.transpose(Transpose.FLIP_LEFT_RIGHT) if mirrored >= 0.5 else part)

    @property
    def _resampling(self) -> Resampling:
        from PIL.Image import Resampling

        return Resampling[self.interpolation.upper()]

    def _tensor(self, image: Image) -> Tensor:
        pixels = np.array(image.convert("L" if len(self.mean) == 1 else "RGB"), np.float32)
        channels = torch.as_tensor(pixels.reshape(self.size, self.size, -1)).movedim(-1, 0)
        mean, std = torch.tensor(self.mean)[:, None, None], torch.tensor(self.std)[:, None, None]
        return (channels / 255 - mean) / std
