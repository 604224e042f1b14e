"""Checks of what users write under ``[data]``."""

from __future__ import annotations

from collections.abc import Iterable

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["choice", "flag", "fraction", "integer"]


def integer(option: str, value: object, least: int) -> int:
    """The value, if it is an integer that is large enough.

    Raises:
        MaseError: if not.

    Example:
        >>> integer("limit", 0, 1)
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: limit is 0
          help: set [data] limit to an integer of at least 1
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise MaseError.of(
            f"{option} is {value!r}", help=f"set [data] {option} to an integer of at least {least}"
        )
    return value


def fraction(option: str, value: object) -> float:
    """The value, if it is a number from 0 to below 1.

    Raises:
        MaseError: if not.

    Example:
        >>> fraction("validation", 0.1)
        0.1
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise MaseError.of(
            f"{option} is {value!r}", help=f"set [data] {option} to a fraction: at least 0, below 1"
        )
    return float(value)


def flag(option: str, value: object) -> bool:
    """The value, if it is true or false.

    Raises:
        MaseError: if not.
    """
    if not isinstance(value, bool):
        raise MaseError.of(f"{option} is {value!r}", help=f"set [data] {option} to true or false")
    return value


def choice(option: str, value: object, known: Iterable[str]) -> str:
    """The value, if it is one of these words.

    Raises:
        MaseError: if not.

    Example:
        >>> choice("augment", "crop", ("none", "crop"))
        'crop'
    """
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise MaseError.of(f"unknown {option} {value!r}", help=did_you_mean(str(value), known))
    return value
