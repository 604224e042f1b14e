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
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.registry import Registry

if TYPE_CHECKING:
    from mase.runtime.data.base import DataModule

__all__ = ["DATA", "check_options", "find_data", "make_data", "options_of", "register_data"]

DATA: Registry[Callable[..., DataModule]] = Registry(
    "data set", package="mase.runtime.data", group="mase.data"
)
"""Every data set that can be named; iterate over it for the names."""

register_data = DATA.register
"""Registers a `DataModule` class, or a function that makes one, under the name that users write.

A positional-only parameter takes what users write after a colon: ``def csv(files, /, **options)`` makes the
data set of ``csv:reviews.csv``. A function that takes ``**options`` has to refuse those it does not know.
"""


def make_data(source: str, *, base_dir: Path | None = None, **options: Any) -> DataModule:
    """The data set of this name.

    Args:
        source: a registered name, such as ``"digits"``; where it reads something, a colon and what that
            is: ``"csv:reviews.csv"``.
        base_dir: the folder that relative file names start from, beside the working directory.
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
    factory, target = find_data(source)
    if not _takes_rest(factory):
        check_options(source, options, options_of(factory))
    data = factory(*target, **options)
    data.name = source
    data.base_dir = base_dir or Path()
    return data


def find_data(source: str) -> tuple[Callable[..., DataModule], tuple[str, ...]]:
    """What makes the data set of this name, and its positional arguments: what stands after the colon.

    Raises:
        MaseError: if there is no such data set, or it reads something and is not told what, or the reverse.

    Example:
        >>> find_data("digits:8")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: data set 'digits' takes nothing after a colon
    """
    name, colon, target = source.partition(":")
    factory = DATA[name]
    parameters = inspect.signature(factory).parameters.values()
    wanted = next((p.name for p in parameters if p.kind is p.POSITIONAL_ONLY), None)
    if wanted is None and colon:
        raise MaseError.of(f"data set {name!r} takes nothing after a colon")
    if wanted is not None and not target:
        raise MaseError.of(
            f"data set {name!r} needs to know what to read", help=f'write source = "{name}:{wanted.upper()}"'
        )
    return factory, (target,) if wanted else ()


def check_options(name: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an option that a data set does not take.

    Args:
        name: what users call the data set.
        options: the names that were given.
        known: the names that it takes.

    Raises:
        MaseError: if one is unknown.
    """
    known = list(known)
    for option in options:
        if option not in known:
            raise MaseError.of(
                f"data set {name!r} has no option {option!r}", help=did_you_mean(option, known)
            )


def options_of(factory: Callable[..., object]) -> list[str]:
    """The keyword arguments of a factory; a class that takes ``**rest`` passes them on to its bases."""
    makers = [base.__init__ for base in factory.__mro__] if isinstance(factory, type) else [factory]
    names: list[str] = []
    for maker in makers:
        parameters = inspect.signature(maker).parameters
        kinds = {p.kind for p in parameters.values()}
        names += [
            name for name, p in parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return [name for name in names if name != "self"]


def _takes_rest(factory: Callable[..., object]) -> bool:
    """Whether it is a function that takes ``**options``, and so knows by itself which there are."""
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(factory).parameters
    return not isinstance(factory, type) and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
