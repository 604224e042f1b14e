"""The further arguments of an optimizer or a scheduler, checked against what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["check_arguments"]


def check_arguments(
    what: str, factory: Callable[..., Any], given: Mapping[str, Any], *, settled: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments as Python wants them.

    Args:
        what: whose they are, for messages.
        factory: what is called with them; its first argument is given by mase.
        given: by name; lists become tuples.
        settled: arguments with a setting of their own, and its name.

    Raises:
        MaseError: if there is no argument of a name, or it has a setting of its own.

    Example:
        >>> import torch
        >>> check_arguments("sgd", torch.optim.SGD, {"momentun": 0.9}, settled={"lr": "learning_rate"})
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: sgd has no option 'momentun'
          help: did you mean 'momentum'?
    """
    parameters = list(inspect.signature(factory).parameters.values())[1:]
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in given:
        if name in settled:
            raise MaseError.of(f"{what}: {name!r} is said by {settled[name]}", help=f"set {settled[name]}")
        if name not in known and not anything:
            raise MaseError.of(f"{what} has no option {name!r}", help=did_you_mean(name, known))
    return {name: _tuples(value) for name, value in given.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, cast("list[Any]", value))) if isinstance(value, list) else value
