"""Data sets by name: one file of this package each, and those of third parties.

Example:
    >>> data = make_data("toy-tiny", batch_size=64)
    >>> data.num_classes, data.input_type, data.task
    (2, 'f32[N,1,2,2]', 'classification')
    >>> inputs, labels = data.example_batch()
    >>> inputs.shape, labels.shape
    (torch.Size([64, 1, 2, 2]), torch.Size([64]))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.registry import Registry

if TYPE_CHECKING:
    from mase.runtime.data.base import DataModule

__all__ = ["DATA", "make_data", "register_data"]

DATA: Registry[Callable[..., DataModule]] = Registry(
    "data set", package="mase.runtime.data", group="mase.data"
)
"""Every data set that can be named; iterate over it for the names."""

register_data = DATA.register
"""Registers a `DataModule` class, or a function that makes one, under the name that users write."""


def make_data(source: str, **options: Any) -> DataModule:
    """The data set of this name.

    Args:
        source: a registered name, such as ``"digits"``.
        options: keyword arguments of the data set; all take ``batch_size`` (samples, 128), ``num_workers``
            (processes, 0) and ``seed`` (of the order of the training samples, 0).

    Returns:
        A Lightning data module.

    Raises:
        MaseError: if no data set has this name or the data set has no such option.

    Example:
        >>> make_data("digits", batchsize=32)
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: data set 'digits' has no option 'batchsize'
          help: did you mean 'batch_size'?
    """
    factory = DATA[source]
    known = _options_of(factory)
    for option in options:
        if option not in known:
            raise MaseError.of(
                f"data set {source!r} has no option {option!r}", help=did_you_mean(option, known)
            )
    data = factory(**options)
    data.name = source
    return data


def _options_of(factory: Callable[..., object]) -> list[str]:
    """The keyword arguments of a factory; a class that takes ``**rest`` passes them on to its bases."""
    makers = [base.__init__ for base in factory.__mro__] if isinstance(factory, type) else [factory]
    names: list[str] = []
    for maker in makers:
        parameters = inspect.signature(maker).parameters.values()
        names += [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in names if name != "self"]
