"""Data sets of texts: where they come from is one question (`corpora`), what for is another, answered here.

Each file of this package that registers a class says what a task makes of the rows of a table: the columns
that it reads, and the tensors that a batch holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mase.runtime.registry import Registry

if TYPE_CHECKING:
    from mase.runtime.data.text.base import TextData

__all__ = ["TEXT_TASKS", "register_text_task"]

TEXT_TASKS: Registry[type[TextData]] = Registry(
    "task of texts", package="mase.runtime.data.text", group="mase.text_data"
)
"""What texts can be read for, by the names of tasks."""

register_text_task = TEXT_TASKS.register
"""Registers a `TextData` class under the name of the task that it is for."""
