"""What models learn, by name: one file of this package each, and those of third parties.

A task says how a batch becomes a loss and which metrics count. See `Task` for how to write one.

Example:
    >>> TASKS["cls"] is TASKS["classification"]
    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mase.runtime.registry import Registry

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch import nn

    from mase.runtime.tasks.base import Task
    from mase.runtime.training.config import TrainConfig

__all__ = ["TASKS", "make_task", "register_task"]

TASKS: Registry[type[Task]] = Registry("task", package="mase.runtime.tasks", group="mase.tasks")
"""Every task that can be named; iterate over it for the names."""

register_task = TASKS.register
"""Registers a `Task` class under the name that users write."""


def make_task(name: str, model: nn.Module, config: TrainConfig, data: pl.LightningDataModule) -> Task:
    """The task of this name over a model.

    Args:
        name: a registered name, such as ``"classification"``, or an alias, such as ``"cls"``.
        model: what is trained or evaluated.
        config: how to train it.
        data: what it learns; the task reads what it needs to know, such as ``num_classes``.

    Raises:
        MaseError: if no task has this name, or the data are not for it.
    """
    return TASKS[name](model, config, data)
