"""Calling code that others wrote to make a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mase.frontends.locations import culprit_location
from mase.ir.diagnostics import MaseError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["call_user_code"]


def call_user_code(entry: Any, args: Mapping[str, Any], source: str) -> nn.Module:
    """Call what a recipe names, with its ``args``; a module that is there already is taken as it is.

    Args:
        entry: a class, function or module.
        args: keyword arguments.
        source: the recipe's text for it, for messages.

    Raises:
        MaseError: if the arguments do not fit, the call fails, or it gives no ``nn.Module``.
    """
    from torch import nn

    if isinstance(entry, nn.Module) and not args:
        return entry
    if not callable(entry):
        raise MaseError.of(f"[model] source: {source} is no callable but a {type(entry).__name__}")
    _check(entry, args, source)
    try:
        model = entry(**args)
    except MaseError:
        raise
    except Exception as error:
        raise MaseError.of(
            f"[model] source: {source} fails with {type(error).__name__}: {error}",
            source=culprit_location(error),
            help="check [model] args",
        ) from error
    if not isinstance(model, nn.Module):
        raise MaseError.of(f"[model] source: {source} gives a {type(model).__name__} and no nn.Module")
    return model


def _check(entry: Any, args: Mapping[str, Any], source: str) -> None:
    try:
        signature = inspect.signature(entry)
    except ValueError:
        return
    try:
        signature.bind(**args)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = next((k for k in args if k not in known), None)
        takes = f"it takes {signature}"
        remedy = did_you_mean(unknown, known) if unknown else None
        raise MaseError.of(f"[model] args do not fit {source}: {error}", help=remedy or takes) from None
