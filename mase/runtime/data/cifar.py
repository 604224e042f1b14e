"""``cifar10`` and ``cifar100``: 32x32 colour images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mase.ir.diagnostics import MaseError
from mase.ir.optional import load_optional
from mase.runtime.data import register_data
from mase.runtime.data.images.download import download
from mase.runtime.data.images.module import ImageModule, Labelled, Part

__all__ = ["Cifar10", "Cifar100"]

_PIXELS = 3 * 32 * 32


class _CifarImages(ImageModule):
    """What the two have in common."""

    input_type = "f32[N,3,32,32]"
    binary: ClassVar[str]
    pickled: ClassVar[str]
    url: ClassVar[str]
    md5: ClassVar[str]
    parts: ClassVar[dict[Part, tuple[str, ...]]]
    labels: ClassVar[int]
    """Bytes before the pixels of an image; the last of them is its label."""

    def read(self, part: Part) -> Labelled:
        files = [self.root / self.binary / name for name in self.parts[part]]
        if not all(file.is_file() for file in files):
            if (self.root / self.pickled).is_dir():
                return self._by_torchvision(part)
            if self.download:
                download(self.url, self.md5, self.root, unpack=True)
        for file in files:
            if not file.is_file():
                raise MaseError.of(
                    f"data set {self.name!r}: {file.name} is not in {file.parent}",
                    help=f"set [data] download = true, or unpack {self.url} in {self.root}; "
                    "[data] root names another folder",
                )
        records = np.concatenate([self._records(file) for file in files])
        images = records[:, self.labels :].reshape(-1, 3, 32, 32)
        return images, records[:, self.labels - 1].astype(np.int64)

    def _records(self, file: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        content, size = np.fromfile(file, np.uint8), self.labels + _PIXELS
        if content.size == 0 or content.size % size:
            raise MaseError.of(
                f"{file} is damaged: {content.size} bytes are no whole number of images of {size}",
                help="remove it, and get it anew",
            )
        return content.reshape(-1, size)

    def _by_torchvision(self, part: Part) -> Labelled:
        try:
            library = load_optional("torchvision.datasets")
        except ImportError as error:
            raise MaseError.of(
                f"data set {self.name!r}: {self.root / self.pickled} is pickled, "
                f"and torchvision, which could read it, does not load: {error}",
                help=f"unpack {self.url} in {self.root} instead",
            ) from None
        made: Any = getattr(library, type(self).__name__.upper())(str(self.root), train=part == "train")
        return np.ascontiguousarray(made.data.transpose(0, 3, 1, 2)), np.asarray(made.targets, np.int64)


@register_data("cifar10")
class Cifar10(_CifarImages):
    """CIFAR-10: 50,000 images of ten classes for training and 10,000 for the test.

    Read from ``ROOT/cifar-10-batches-bin``, the binary version, or else by torchvision from
    ``ROOT/cifar-10-batches-py``, the Python version, which is pickled: mase itself unpickles nothing.
    """

    num_classes = 10
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    binary = "cifar-10-batches-bin"
    pickled = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5 = "c32a1d4ab5d03f1284b67883e8d87530"
    parts: ClassVar[dict[Part, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test": ("test_batch.bin",),
    }
    labels = 1


@register_data("cifar100")
class Cifar100(_CifarImages):
    """CIFAR-100: 50,000 images of a hundred (fine) classes for training and 10,000 for the test.

    Read from ``ROOT/cifar-100-binary``, the binary version, or else by torchvision from
    ``ROOT/cifar-100-python``.
    """

    num_classes = 100
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    binary = "cifar-100-binary"
    pickled = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    md5 = "03b5dce01913d631647c71ecec9e9cb8"
    parts: ClassVar[dict[Part, tuple[str, ...]]] = {"train": ("train.bin",), "test": ("test.bin",)}
    labels = 2  # coarse, then fine
