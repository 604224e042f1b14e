"""Classification models of torchvision and timm with random weights, at the smallest images they take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from .base import Architecture
from .libraries import library

__all__ = ["timm", "torchvision"]

TORCHVISION = {
    "alexnet": 64,
    "resnet18": 32,
    "resnet50": 32,
    "vgg11_bn": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "efficientnet_b0": 32,
    "densenet121": 32,
    "googlenet": 64,
    "inception_v3": 75,
    "swin_t": 32,
    "vit_b_16": 32,
    "convnext_tiny": 32,
    "regnet_y_400mf": 32,
    "shufflenet_v2_x1_0": 32,
    "squeezenet1_1": 32,
    "mnasnet0_5": 32,
    "maxvit_t": 224,
}
"""Names with the height and width of their images."""

TIMM = {
    "resnet18": 32,
    "mobilenetv3_small_050": 32,
    "efficientnet_lite0": 32,
    "vit_tiny_patch16_224": 32,
    "deit_tiny_patch16_224": 32,
    "swin_tiny_patch4_window7_224": 224,
    "convnext_nano": 32,
    "mixer_s32_224": 64,
    "resmlp_12_224": 32,
    "regnetx_002": 32,
    "ghostnet_050": 32,
    "edgenext_xx_small": 64,
    "levit_128s": 224,
    "poolformer_s12": 64,
    "repvgg_a0": 32,
    "mobilevit_xxs": 64,
    "efficientvit_b0": 64,
    "fastvit_t8": 64,
}
_FIXED = ("swin", "levit")


def _images(name: str, size: int, batch: int, length: int) -> dict[str, Any]:
    return {name: torch.randn(batch, 3, size, size)}


def _architecture(name: str, size: int, make: Callable[[], nn.Module]) -> Architecture:
    branches = name.endswith(("googlenet", "inception_v3"))  # further classifiers in training
    return Architecture(name, make, partial(_images, "x", size), others=((3, 0),), branches=branches)


def _torchvision(name: str, size: int) -> nn.Module:
    more = {"image_size": size} if name.startswith("vit") else {}
    more |= {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    return library("torchvision")[0].models.get_model(name, weights=None, num_classes=10, **more)


def _timm(name: str, size: int) -> nn.Module:
    sized = "_224" in name and not name.startswith(_FIXED)
    more: dict[str, Any] = {"img_size": size} if sized else {}
    return library("timm")[0].create_model(name, num_classes=10, **more)


def torchvision() -> list[Architecture]:
    """Models of torchvision."""
    return [_architecture(f"torchvision:{n}", s, partial(_torchvision, n, s)) for n, s in TORCHVISION.items()]


def timm() -> list[Architecture]:
    """Models of timm."""
    return [_architecture(f"timm:{n}", s, partial(_timm, n, s)) for n, s in TIMM.items()]
