"""How the weights are changed: what the user left open is the task's choice, then the general default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mase.runtime.training.config import TrainConfig

__all__ = ["Optimization", "resolve"]


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """The settings that a task may choose, with nothing left open; their defaults are the general ones.

    Args:
        optimizer: see `TrainConfig` for each of them.
        learning_rate: peak learning rate.
        weight_decay: as the optimizer defines it.
        scheduler: course of the learning rate.
        warmup: optimizer steps, or below 1 a share of the run.
        gradient_clip: largest norm of the gradient; 0 for no limit.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    scheduler: str = "none"
    warmup: float = 0.0
    gradient_clip: float = 0.0


def resolve(config: TrainConfig, defaults: Mapping[str, Any]) -> Optimization:
    """What holds: the user's word, else the task's, else the general default.

    Args:
        config: what the user says; None where nothing was said.
        defaults: the task's choices by name.

    Example:
        >>> found = resolve(TrainConfig(weight_decay=0.1), {"optimizer": "adamw", "weight_decay": 0.01})
        >>> found.optimizer, found.weight_decay, found.learning_rate
        ('adamw', 0.1, 0.001)
    """
    said = {field.name: getattr(config, field.name) for field in fields(Optimization)}
    chosen = {**defaults, **{name: value for name, value in said.items() if value is not None}}
    return Optimization(**chosen)
