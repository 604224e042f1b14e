"""torchvision and timm, where they load, and torchvision built for CUDA beside a torch without it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from typing import Any

import torch

__all__ = ["library"]

_OPERATORS = ("nms", "qnms")
"""Those that torchvision describes to torch when it is imported, whether its compiled part loads or not."""
_LIBRARY: list[Any] = []


@cache
def library(name: str) -> tuple[Any, str]:
    """A library of image models, or why it does not load.

    A torchvision whose compiled part needs another build of torch stops at the operators of that part.
    Models for classification use none of them, so declaring their signatures lets the rest load.
    """
    if importlib.util.find_spec(name) is None:
        return None, f"{name} is not installed"
    try:
        return importlib.import_module(name), ""
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            return None, f"{name} does not load: {error}"
    for module in [m for m in sys.modules if m.partition(".")[0] in ("torchvision", name)]:
        del sys.modules[module]
    _declare_operators()
    try:
        return importlib.import_module(name), ""
    except Exception as error:  # noqa: BLE001 - whatever else is wrong with it is the reason to skip
        return None, f"{name} does not load: {error}"


def _declare_operators() -> None:
    if not _LIBRARY:
        _LIBRARY.append(torch.library.Library("torchvision", "FRAGMENT"))
        for operator in _OPERATORS:
            _LIBRARY[0].define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
