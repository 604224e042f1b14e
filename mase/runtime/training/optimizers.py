"""Optimizers by name: those of `torch.optim` and registered ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from mase.ir.diagnostics import MaseError
from mase.runtime.registry import Registry
from mase.runtime.training.arguments import check_arguments
from mase.runtime.training.groups import Group

__all__ = ["OPTIMIZERS", "make_optimizer", "register_optimizer"]

OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer", group="mase.optimizers")
"""Every optimizer that can be named, in lower case; iterate over it for the names."""

register_optimizer = OPTIMIZERS.register
"""Registers a function of ``(groups, lr=..., weight_decay=...)`` that makes an optimizer."""

_SETTLED = {"lr": "learning_rate", "weight_decay": "weight_decay"}

for _name, _cls in vars(torch.optim).items():
    if isinstance(_cls, type) and issubclass(_cls, Optimizer) and _cls is not Optimizer:
        register_optimizer(_name.lower())(_cls)


def make_optimizer(
    name: str,
    groups: Sequence[Group],
    *,
    learning_rate: float,
    options: Mapping[str, Any] | None = None,
) -> Optimizer:
    """The optimizer of this name.

    Args:
        name: a name from `OPTIMIZERS`, in any case.
        groups: what it changes, and how strongly each of them decays.
        learning_rate: peak learning rate.
        options: its further arguments, such as ``momentum``.

    Raises:
        MaseError: if no optimizer has this name, nothing can be trained, or the optimizer refuses.

    Example:
        >>> from mase.runtime.training.groups import parameter_groups
        >>> groups = parameter_groups(torch.nn.Linear(2, 2), weight_decay=0.1, no_decay=["bias"])
        >>> sgd = make_optimizer("SGD", groups, learning_rate=0.1, options={"momentum": 0.9})
        >>> [(group["name"], group["weight_decay"], group["momentum"]) for group in sgd.param_groups]
        [('weights', 0.1, 0.9), ('no decay', 0.0, 0.9)]
    """
    factory = OPTIMIZERS[name.lower()]
    what = f"optimizer {name!r}"
    if not groups:
        raise MaseError.of("the model has no trainable parameter", help="leave `train` out of the pipeline")
    arguments = check_arguments(what, factory, options or {}, settled=_SETTLED)
    decays = "weight_decay" in inspect.signature(factory).parameters
    if not decays and any(group.weight_decay for group in groups):
        raise MaseError.of(f"{what} knows no weight decay", help="set weight_decay to 0")
    tables = [_table(group, learning_rate, decays=decays) for group in groups]
    if not decays and all(group.rate == 1.0 for group in groups):  # it may know no groups either
        tables = [weight for table in tables for weight in table["params"]]
    try:
        return factory(tables, lr=learning_rate, **arguments)
    except (TypeError, ValueError) as error:
        raise MaseError.of(f"{what}: {error}", help="choose another, such as 'adamw'") from error


def _table(group: Group, learning_rate: float, *, decays: bool) -> dict[str, Any]:
    """A group as torch wants it; the decay always, because some optimizers default to more than 0."""
    table = {"params": list(group.parameters.values()), "name": group.name, "lr": learning_rate * group.rate}
    return {**table, "weight_decay": group.weight_decay} if decays else table
