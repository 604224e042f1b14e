"""From a batch to the arguments of a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from mase.ir.diagnostics import MaseError

__all__ = ["arguments_of", "split_batch"]


def split_batch(batch: Any, *, target: str = "labels") -> tuple[Any, Tensor]:
    """The inputs of a batch and the target.

    Args:
        batch: a pair ``(inputs, target)``, or a mapping of tensors by name that holds the target too.
        target: the name of the target in a mapping.

    Raises:
        MaseError: if the batch is neither.

    Example:
        >>> import torch
        >>> split_batch({"input_ids": torch.zeros(1, 2), "labels": torch.ones(1)})
        ({'input_ids': tensor([[0., 0.]])}, tensor([1.]))
        >>> split_batch((torch.zeros(1), torch.ones(1)))
        (tensor([0.]), tensor([1.]))
    """
    found = f"a {type(batch).__name__}"
    if isinstance(batch, Mapping):
        entries = dict(cast("Mapping[str, Any]", batch))
        if isinstance(value := entries.pop(target, None), Tensor):
            return entries, value
        found = f"a mapping of {', '.join(map(repr, entries)) or 'nothing'}"
    elif isinstance(batch, list | tuple):
        pair = cast("list[Any] | tuple[Any, ...]", batch)
        if len(pair) == 2 and isinstance(pair[1], Tensor):
            return pair[0], pair[1]
    raise MaseError.of(
        f"a batch is a pair (inputs, labels) or a mapping with {target!r}, found {found}",
        help="make the data module's loaders return one of them, or choose another task",
    )


def arguments_of(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the named inputs that a model's ``forward`` takes.

    Args:
        model: any module, a lowered graph for one.
        inputs: tensors by name; what the model has no parameter for is left out.

    Raises:
        MaseError: if one that the model needs is missing, or it takes none of them.

    Example:
        >>> class Scale(nn.Module):
        ...     def forward(self, x, factor=2.0, **unused):
        ...         return factor * x
        >>> arguments_of(Scale(), {"x": 1, "labels": 2})
        {'x': 1}
    """
    parameters = inspect.signature(model.forward).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not named and any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(inputs)
    missing = [p.name for p in named if p.default is p.empty and p.name not in inputs]
    taken = {p.name: inputs[p.name] for p in named if p.name in inputs}
    if missing or not taken:
        needed = ", ".join(missing or [p.name for p in named])
        raise MaseError.of(
            f"the model needs {needed}, and a batch has {', '.join(inputs)}",
            help="give the model inputs of these names ([model] inputs), or choose another data set",
        )
    return taken
