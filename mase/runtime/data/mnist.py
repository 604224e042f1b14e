"""``mnist`` and ``fashion-mnist``: 28x28 grey images, ten classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from mase.ir.diagnostics import MaseError
from mase.runtime.data import register_data
from mase.runtime.data.images.download import download
from mase.runtime.data.images.idx import read_idx
from mase.runtime.data.images.module import ImageModule, Labelled, Part

__all__ = ["FashionMnist", "Mnist"]


class _IdxImages(ImageModule):
    """What the two have in common."""

    num_classes = 10
    input_type = "f32[N,1,28,28]"
    folder: ClassVar[str]
    url: ClassVar[str]
    md5: ClassVar[Mapping[str, str]]
    """Of the compressed files."""

    def read(self, part: Part) -> Labelled:
        prefix = "train" if part == "train" else "t10k"
        images = read_idx(self._find(f"{prefix}-images-idx3-ubyte"))
        labels = read_idx(self._find(f"{prefix}-labels-idx1-ubyte")).astype(np.int64)
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise MaseError.of(
                f"the {part} files of {self.name} do not belong together: "
                f"images of shape {images.shape}, labels of shape {labels.shape}",
                help=f"remove the files in {self._raw}, and get them anew",
            )
        return images[:, None], labels

    @property
    def _raw(self) -> Path:
        return self.root / self.folder / "raw"

    def _find(self, name: str) -> Path:
        """The file, compressed or not, and downloaded if that is wanted."""
        places = (self._raw / name, self._raw / f"{name}.gz")
        if self.download and not any(place.is_file() for place in places):
            download(f"{self.url}{name}.gz", self.md5[name], self._raw)
        for place in places:
            if place.is_file():
                return place
        raise MaseError.of(
            f"data set {self.name!r}: neither {name} nor {name}.gz is in {self._raw}",
            help=f"set [data] download = true, or put the files of {self.url} there; "
            "[data] root names another folder",
        )


@register_data("mnist")
class Mnist(_IdxImages):
    """MNIST: 60,000 handwritten digits for training and 10,000 for the test.

    Read from ``ROOT/MNIST/raw``, in the IDX files that torchvision puts there, compressed or not.
    """

    mean, std = (0.1307,), (0.3081,)
    folder = "MNIST"
    url = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    md5: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    }


@register_data("fashion-mnist")
class FashionMnist(_IdxImages):
    """Fashion-MNIST: 60,000 pictures of clothes for training and 10,000 for the test.

    Read from ``ROOT/FashionMNIST/raw``, in the IDX files that torchvision puts there, compressed or not.
    """

    mean, std = (0.2860,), (0.3530,)
    folder = "FashionMNIST"
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    md5: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    }
