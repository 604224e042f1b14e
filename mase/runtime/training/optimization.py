"""How the weights are changed: what the user left open is the task's choice, then the general default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mase.runtime.training.config import TrainConfig

__all__ = ["Optimization", "resolve"]

_PARTS = {"optimizer": ("optimizer_options",), "scheduler": ("scheduler_options", "warmup")}
"""What goes with a choice of the task, and not with the user's own."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """The settings that a task may choose, with nothing left open; their defaults are the general ones.

    Args:
        optimizer: see `TrainConfig` for each of them.
        optimizer_options: further arguments of the optimizer.
        learning_rate: peak learning rate.
        weight_decay: as the optimizer defines it.
        no_decay: kinds and names of parameters that do not decay.
        scheduler: course of the learning rate.
        scheduler_options: arguments of the scheduler.
        warmup: optimizer steps, or below 1 a share of the run.
        gradient_clip: largest norm of the gradient; 0 for no limit.
    """

    optimizer: str = "adam"
    optimizer_options: dict[str, Any] = field(default_factory=dict[str, Any])
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    no_decay: list[str] = field(default_factory=lambda: ["bias", "norm"])
    scheduler: str = "none"
    scheduler_options: dict[str, Any] = field(default_factory=dict[str, Any])
    warmup: float = 0.0
    gradient_clip: float = 0.0


def resolve(config: TrainConfig, defaults: Mapping[str, Any]) -> Optimization:
    """What holds: the user's word, else the task's, else the general default.

    The options of an optimizer go with it: those of the task's are nothing to an optimizer that the user
    chose. So it is with the options of a scheduler, and with its warm-up.

    Args:
        config: what the user says; None where nothing was said.
        defaults: the task's choices by name.

    Example:
        >>> task = {"optimizer": "adamw", "optimizer_options": {"eps": 1e-6}, "weight_decay": 0.01}
        >>> found = resolve(TrainConfig(weight_decay=0.1), task)
        >>> found.optimizer, found.optimizer_options, found.weight_decay, found.learning_rate
        ('adamw', {'eps': 1e-06}, 0.1, 0.001)
        >>> resolve(TrainConfig(optimizer="sgd"), task).optimizer_options
        {}
    """
    said = {field.name: getattr(config, field.name) for field in fields(Optimization)}
    said = {name: value for name, value in said.items() if value is not None}
    foreign = {part for whole, parts in _PARTS.items() if whole in said for part in parts}
    return Optimization(**{name: value for name, value in defaults.items() if name not in foreign} | said)
