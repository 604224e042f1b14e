"""20 labelled images of ImageNet from ``foolbox`` (MIT)."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import copy, write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["imagenet_samples"]

PACKAGE = Package("wheel", "foolbox==3.3.4")


@offers("imagenet-samples", PACKAGE)
def imagenet_samples(into: Path) -> Path:
    """20 images of ImageNet in folders by class (2 MB): `image-folder` of mase reads them."""
    target = into / "imagenet-samples"
    images = sorted((PACKAGE.folder / "foolbox/data").glob("imagenet_*_*.*"))
    if not images:
        raise PackageError(f"{PACKAGE.spec} holds no images of ImageNet")
    for image in images:  # imagenet_NUMBER_LABEL.jpg
        _, number, label = image.stem.split("_")
        # They are too few to keep some back: what calibrates is what is measured.
        for split in ("train", "test"):
            copy(image, target / split / f"{int(label):03d}" / f"{number}{image.suffix}")
    write_text(target / "classes.txt", "".join(f"{label:03d}\n" for label in range(1000)))
    return target
