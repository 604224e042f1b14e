"""Optimizers by name: those of `torch.optim` and registered ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from mase.ir.diagnostics import MaseError
from mase.runtime.registry import Registry

__all__ = ["OPTIMIZERS", "make_optimizer", "register_optimizer"]

OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer", group="mase.optimizers")
"""Every optimizer that can be named, in lower case; iterate over it for the names."""

register_optimizer = OPTIMIZERS.register
"""Registers a function of ``(parameters, lr=..., weight_decay=...)`` that makes an optimizer."""

for _name, _cls in vars(torch.optim).items():
    if isinstance(_cls, type) and issubclass(_cls, Optimizer) and _cls is not Optimizer:
        register_optimizer(_name.lower())(_cls)


def make_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float = 0.0
) -> Optimizer:
    """The optimizer of this name.

    Args:
        name: a name from `OPTIMIZERS`, in any case.
        parameters: what it changes; those that need no gradient are left out.
        learning_rate: peak learning rate.
        weight_decay: as the optimizer defines it.

    Raises:
        MaseError: if no optimizer has this name, nothing can be trained, or the optimizer refuses.

    Example:
        >>> type(make_optimizer("AdamW", nn.Linear(2, 2).parameters(), learning_rate=0.1)).__name__
        'AdamW'
    """
    factory = OPTIMIZERS[name.lower()]
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    if not trainable:
        raise MaseError.of("the model has no trainable parameter", help="leave `train` out of the pipeline")
    options: dict[str, float] = {"lr": learning_rate}
    if "weight_decay" in inspect.signature(factory).parameters:
        options["weight_decay"] = weight_decay  # always, because some default to more than 0
    elif weight_decay:
        raise MaseError.of(f"optimizer {name!r} knows no weight decay", help="set weight_decay to 0")
    try:
        return factory(trainable, **options)
    except (TypeError, ValueError) as error:
        raise MaseError.of(f"optimizer {name!r}: {error}", help="choose another, such as 'adamw'") from error
