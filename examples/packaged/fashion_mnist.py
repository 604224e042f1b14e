"""Fashion-MNIST, the whole of it, from Debian's ``dataset-fashion-mnist`` (MIT)."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import copy
from examples.packaged.package import Package
from examples.packaged.registry import offers

__all__ = ["fashion_mnist"]

PACKAGE = Package("deb", "dataset-fashion-mnist")


@offers("fashion-mnist", PACKAGE)
def fashion_mnist(into: Path) -> Path:
    """70,000 grey images of clothes, 28x28, ten classes (31 MB): `fashion-mnist` of mase reads it."""
    raw = into / "FashionMNIST" / "raw"
    for file in sorted((PACKAGE.folder / "usr/share/datasets/fashion-mnist").glob("*-ubyte.gz")):
        copy(file, raw / file.name)
    return raw
