"""Images in files, one folder for each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data.images.draws import Draws
from mase.runtime.data.images.transform import Transform

__all__ = ["Files", "class_folders", "image_files"]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, in alphabetical order; hidden ones do not count."""
    return sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def image_files(folder: Path, labels: Mapping[str, int]) -> tuple[list[Path], NDArray[np.int64]]:
    """The images below the folders of the classes, in alphabetical order, and their labels.

    Args:
        folder: holds the folders of the classes.
        labels: by the name of such a folder.

    Raises:
        MaseError: if a folder belongs to no class.
    """
    files: list[Path] = []
    found: list[int] = []
    for name in class_folders(folder):
        if name not in labels:
            raise MaseError.of(
                f"folder {folder / name} belongs to no class",
                help="let all splits have the same folders, or add it to the file that [data] classes names",
            )
        images = sorted(f for f in (folder / name).rglob("*") if f.suffix.lower() in EXTENSIONS)
        files += images
        found += [labels[name]] * len(images)
    return files, np.array(found, np.int64)


class Files(Dataset[tuple[Tensor, Tensor]]):
    """Images that are read when they are needed.

    Args:
        files: the images.
        labels: of each of them.
        transform: from a picture to a tensor.
        augment: whether to take another part of each image in each epoch.
        seed: of the augmentation.
    """

    def __init__(
        self,
        files: list[Path],
        labels: NDArray[np.int64],
        transform: Transform,
        *,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        self.files = files
        self.labels = torch.as_tensor(labels)
        self._transform = transform
        self._draws = Draws(seed, samples=len(files), numbers=Transform.numbers) if augment else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(self.files[index]) as file:
                image = file.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise MaseError.of(
                f"{self.files[index]} cannot be read as an image: {error}", help="remove it, or get it anew"
            ) from None
        if self._draws is None:
            return self._transform(image), self.labels[index]
        return self._transform.augmented(image, self._draws.at([index])[0]), self.labels[index]

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch, with an augmentation of its own."""
        if self._draws is not None:
            self._draws.set_epoch(epoch)
