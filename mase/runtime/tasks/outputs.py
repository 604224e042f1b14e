"""From whatever a model returns to the tensor that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from mase.ir.diagnostics import MaseError

__all__ = ["at_least_float32", "logits_of"]


def logits_of(output: object) -> Tensor:
    """The tensor itself, ``.logits`` or ``["logits"]`` where there is one, else the first tensor.

    Args:
        output: what a model returned: a tensor, a tuple, a dictionary or an object such as a ModelOutput.

    Raises:
        MaseError: if there is no tensor in it.

    Example:
        >>> logits_of({"hidden": torch.zeros(2), "logits": torch.ones(1)})
        tensor([1.])
        >>> logits_of((None, torch.ones(1), torch.zeros(1)))
        tensor([1.])
    """
    kind = type(output).__name__
    if isinstance(output, Tensor):
        return output
    named = getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    values: list[Any] = []
    if isinstance(output, Mapping):
        entries = cast(Mapping[Any, Any], output)
        values = [entries.get("logits"), *entries.values()]
    elif isinstance(output, Sequence):
        values = list(cast(Sequence[Any], output))
    for value in values:
        if isinstance(value, Tensor):
            return value
    raise MaseError.of(
        f"the model returns {kind}, which holds no tensor",
        help="return logits, a tuple that starts with them, or something with `.logits`",
    )


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or as they are if they are float64.

    Example:
        >>> at_least_float32(torch.zeros(1, dtype=torch.float16)).dtype
        torch.float32
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
