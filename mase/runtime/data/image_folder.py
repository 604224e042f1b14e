"""``image-folder:FOLDER``: images in a folder for each class, as ImageNet has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mase.ir.diagnostics import MaseError
from mase.runtime.data import register_data
from mase.runtime.data.base import DataModule, Splits
from mase.runtime.data.images.folder import Files, class_folders, image_files
from mase.runtime.data.images.transform import INTERPOLATIONS, Transform
from mase.runtime.data.options import choice, flag, fraction, integer
from mase.runtime.data.splitting import Index, cut, first

__all__ = ["ImageFolder"]

_Found: TypeAlias = tuple[list[Path], Index]


@register_data("image-folder", "imagenet")
class ImageFolder(DataModule):
    """Images in folders by split and class: ``FOLDER/train/CLASS/*.jpg``.

    The test is in ``FOLDER/test``, or else in ``FOLDER/val``, as with ImageNet, whose true test has no
    labels. Where both are, ``FOLDER/val`` chooses the best epoch; else a part of ``FOLDER/train`` does. A
    folder without ``train`` holds the classes themselves: a part is kept for either purpose.

    Args:
        folder: the folder.
        classes: a file with the name of a class folder in each line, in the order of the labels; by default
            the folders that there are, in alphabetical order.
        size: pixels of each side of what the network gets.
        resize: pixels of the shorter side before the middle is cut out; by default as ``size`` to 256 is
            224 to 256.
        interpolation: ``"bilinear"``, ``"bicubic"``, ``"nearest"`` or ``"lanczos"``.
        mean: what to subtract from each channel, on a scale from 0 to 1; one value makes grey images.
        std: what to divide each channel by then.
        augment: whether training sees a random part of each image, mirrored half of the time.
        validation: the fraction of the training images that chooses the best epoch, where no folder does.
        test: the same for the test, where no folder is for it.
        limit: use at most so many images of each split.
        options: those of every data set.
    """

    def __init__(
        self,
        folder: str,
        /,
        *,
        classes: str | None = None,
        size: int = 224,
        resize: int | None = None,
        interpolation: str = "bilinear",
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        augment: bool = False,
        validation: float = 0.1,
        test: float = 0.2,
        limit: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._folder, self._classes = folder, classes
        size = integer("size", size, 1)
        resize = max(size, round(size * 256 / 224)) if resize is None else integer("resize", resize, size)
        if len(mean) not in (1, 3) or len(std) != len(mean) or not all(value > 0 for value in std):
            raise MaseError.of(
                f"mean is {list(mean)} and std is {list(std)}",
                help="give one value each for grey images or three for colour, and std above 0",
            )
        self.transform = Transform(
            resize=resize,
            size=size,
            interpolation=choice("interpolation", interpolation, INTERPOLATIONS),
            mean=tuple(mean),
            std=tuple(std),
        )
        self.augment = flag("augment", augment)
        self.validation = fraction("validation", validation)
        self.test = fraction("test", test)
        self.limit = None if limit is None else integer("limit", limit, 1)
        self.input_type = f"f32[N,{len(mean)},{size},{size}]"

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their labels."""
        if self._classes is not None:
            file = self.place(self._classes)
            if not file.is_file():
                raise MaseError.of(f"classes: there is no file {file}", help="write a class folder a line")
            return file.read_text(encoding="utf-8").split()
        train = self._root / "train"
        found = class_folders(train if train.is_dir() else self._root)
        if not found:
            raise MaseError.of(
                f"{self._root} holds no folder of a class",
                help="put the images of each class into a folder of its own: train/CLASS/IMAGE.jpg",
            )
        return found

    @property
    def num_classes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many labels there are."""
        return len(self.classes)

    def load(self) -> Splits:
        root = self._root
        if (root / "train").is_dir():
            files, labels = self._find(root / "train")
            given = self._given(root)
        else:
            files, labels = self._find(root)
            given = {}
        index = np.arange(len(files))
        index, test = cut(index, labels, 0 if "test" in given else round(self.test * len(files)))
        train, val = cut(index, labels, 0 if "val" in given else round(self.validation * len(files)))
        parts = {"train": train, "val": val, "test": test}
        cuts: dict[str, _Found] = {
            name: ([files[i] for i in at.tolist()], labels[at]) for name, at in parts.items()
        }
        return Splits(**{name: self._samples(part, name == "train") for name, part in (cuts | given).items()})

    def _given(self, root: Path) -> dict[str, _Found]:
        """What has a folder of its own."""
        present = [name for name in ("val", "test") if (root / name).is_dir()]
        if present == ["val"]:
            return {"test": self._find(root / "val")}
        return {name: self._find(root / name) for name in present}

    def located(self) -> Mapping[str, str]:
        found = {"source": f"image-folder:{self.place(str(Path(self._folder).expanduser()))}"}
        return found if self._classes is None else found | {"classes": str(self.place(self._classes))}

    @cached_property
    def _root(self) -> Path:
        root = self.place(str(Path(self._folder).expanduser()))
        if not root.is_dir():
            raise MaseError.of(
                f"there is no folder {root}",
                help="put the images of each class into a folder of its own: train/CLASS/IMAGE.jpg "
                "(ImageNet is available from https://image-net.org after registration)",
            )
        return root

    def _find(self, folder: Path) -> _Found:
        return image_files(folder, {name: label for label, name in enumerate(self.classes)})

    def _samples(self, found: _Found, training: bool) -> Files:
        files, labels = found
        chosen = first(np.arange(len(files)), self.limit)
        return Files(
            [files[i] for i in chosen],
            labels[chosen],
            self.transform,
            augment=self.augment and training,
            seed=self.seed,
        )
