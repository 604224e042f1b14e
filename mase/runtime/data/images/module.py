"""Base of the data sets whose images fit in memory and come in a training and a test part."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mase.runtime.data.base import DataModule, Splits
from mase.runtime.data.images.augment import AUGMENTATIONS, Augmentation
from mase.runtime.data.images.pictures import Pictures
from mase.runtime.data.options import choice, flag, fraction, integer
from mase.runtime.data.splitting import cut, first

__all__ = ["ImageModule", "Labelled", "Part"]

Part: TypeAlias = Literal["train", "test"]
Labelled: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]


class ImageModule(DataModule):
    """Images in memory: a subclass states facts and reads a part.

    Args:
        root: the folder that holds the folder of the data set, as torchvision lays it out.
        download: whether to get what is missing from the network.
        normalize: subtract the mean of each channel and divide by its standard deviation; without it,
            values go from 0 to 1.
        validation: the fraction of the training part that chooses the best epoch; the cut is stratified
            and fixed.
        limit: use at most so many samples of each split.
        augment: how training images are changed, anew in each epoch: ``"none"``, ``"crop"`` (moved by up to
            four pixels), ``"flip"`` (mirrored) or ``"crop-flip"``.
        options: those of every data set.
    """

    mean: ClassVar[tuple[float, ...]]
    """Of the channels of the training part, on a scale from 0 to 1."""
    std: ClassVar[tuple[float, ...]]

    def __init__(
        self,
        *,
        root: str = "data",
        download: bool = False,
        normalize: bool = True,
        validation: float = 0.1,
        limit: int | None = None,
        augment: str = "none",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root = root
        self.download = flag("download", download)
        self.normalize = flag("normalize", normalize)
        self.validation = fraction("validation", validation)
        self.limit = None if limit is None else integer("limit", limit, 1)
        self.augment = choice("augment", augment, AUGMENTATIONS)

    @property
    def root(self) -> Path:
        """The folder that holds the folder of the data set."""
        return self.place(str(Path(self._root).expanduser()))

    @abstractmethod
    def read(self, part: Part) -> Labelled:
        """Images of shape (samples, channels, height, width), and their labels."""

    def load(self) -> Splits:
        images, labels = self.read("train")
        train, val = cut(np.arange(len(labels)), labels, round(self.validation * len(labels)))
        tested = self.read("test")
        return Splits(
            train=self._pictures((images, labels), train, AUGMENTATIONS[self.augment]),
            val=self._pictures((images, labels), val),
            test=self._pictures(tested, np.arange(len(tested[1]))),
        )

    def _pictures(
        self, source: Labelled, index: NDArray[np.int64], augmentation: Augmentation | None = None
    ) -> Pictures:
        chosen = first(index, self.limit)
        plain = (0.0,) * len(self.mean), (1.0,) * len(self.std)
        mean, std = (self.mean, self.std) if self.normalize else plain
        return Pictures(
            source[0][chosen],
            source[1][chosen],
            mean=mean,
            std=std,
            augmentation=augmentation,
            seed=self.seed,
        )
