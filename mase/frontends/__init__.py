"""Models in: `trace` captures a module, `materialise` follows a recipe. Torch loads on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mase.frontends.capture import Capture, CaptureWarning, trace
    from mase.frontends.rules import from_call, from_module
    from mase.frontends.source import build_model, materialise, register_source
    from mase.frontends.zoo import register_model

__all__ = [
    "Capture",
    "CaptureWarning",
    "build_model",
    "from_call",
    "from_module",
    "materialise",
    "register_model",
    "register_source",
    "trace",
]

_HOME = {
    "capture": ("Capture", "CaptureWarning", "trace"),
    "rules": ("from_call", "from_module"),
    "source": ("build_model", "materialise", "register_source"),
    "zoo": ("register_model",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
