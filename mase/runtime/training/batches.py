"""Looking into batches, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from lightning_utilities.core import apply_func
from torch import Tensor

__all__ = ["map_tensors", "tensors_of"]


def map_tensors(batch: Any, function: Callable[[Tensor], object]) -> Any:
    """The batch with ``function`` applied to each of its tensors, however deep."""
    return cast(Any, apply_func).apply_to_collection(batch, Tensor, function)


def tensors_of(batch: Any) -> list[Tensor]:
    """The tensors of a batch, in order.

    Example:
        >>> import torch
        >>> len(tensors_of({"ids": torch.zeros(2), "pair": (torch.ones(1), "text")}))
        2
    """
    found: list[Tensor] = []
    map_tensors(batch, found.append)
    return found
