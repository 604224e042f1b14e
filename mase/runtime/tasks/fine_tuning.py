"""How transformers are trained unless the user says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["FINE_TUNING"]

FINE_TUNING: Mapping[str, object] = MappingProxyType(
    {
        "optimizer": "adamw",
        "learning_rate": 5e-5,
        "weight_decay": 0.01,
        "scheduler": "linear",
        "warmup": 0.1,
        "gradient_clip": 1.0,
    }
)
"""The settings of BERT's authors (section A.3 of the paper) as the library transformers has them."""
