"""The words between a format's angle brackets: numbers, then ``key=value``, flags and a rounding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mase.ir.format import ROUNDINGS, Rounding

__all__ = ["Words", "block_of", "floor_log2", "read_keys", "read_words", "write_words"]

_ABSENT = (None, "none", "None", "NA")


@dataclass(frozen=True)
class Words:
    """What `read_words` found."""

    numbers: tuple[int, ...]
    keys: Mapping[str, int]
    flags: frozenset[str]
    rounding: Rounding


def read_words(
    args: Sequence[str],
    usage: str,
    count: tuple[int, int],
    keys: Sequence[str] = (),
    flags: Sequence[str] = (),
    rounds: bool = True,
) -> Words:
    """Sort the arguments of a format's text.

    Args:
        args: the words between the brackets.
        usage: what was expected, for messages.
        count: how few and how many numbers must lead.
        keys: the keys that take an integer.
        flags: the words that may be present.
        rounds: whether a rounding may be given.

    Raises:
        ValueError: if a word is unknown, repeated, or out of its place.

    Example:
        >>> words = read_words(["4", "group=128", "half_up"], "int<W,group=G>", (1, 1), keys=["group"])
        >>> words.numbers, dict(words.keys), words.rounding
        ((4,), {'group': 128}, 'half_up')
    """
    numbers: list[int] = []
    values: dict[str, int] = {}
    words: list[str] = []
    roundings: list[Rounding] = []
    for arg in args:
        key, equals, value = (part.strip() for part in arg.partition("="))
        if _is_integer(arg) and not values and not words and not roundings:
            numbers.append(int(arg))
        elif equals and key in keys and key not in values and _is_integer(value):
            values[key] = int(value)
        elif arg in flags and arg not in words:
            words.append(arg)
        elif rounds and arg in ROUNDINGS and not roundings:
            roundings.append(arg)
        else:
            raise ValueError(f"unexpected {arg!r}; expected {usage}" + (", and half_up or floor" * rounds))
    if not count[0] <= len(numbers) <= count[1]:
        raise ValueError(f"found {len(numbers)} numbers; expected {usage}")
    return Words(tuple(numbers), values, frozenset(words), roundings[0] if roundings else "half_even")


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdecimal() and len(text) - len(text.lstrip("+-")) <= 1


def write_words(
    name: str,
    *words: int | str,
    keys: Mapping[str, int | None] | None = None,
    rounding: Rounding = "half_even",
) -> str:
    """The canonical text: what is given, in this order, less empty words and defaults.

    Example:
        >>> write_words("int", 4, "", keys={"group": 128, "channel": None}, rounding="floor")
        'int<4,group=128,floor>'
    """
    said = [str(w) for w in words if w != ""]
    said += [f"{k}={v}" for k, v in (keys or {}).items() if v is not None]
    said += [rounding] if rounding != "half_even" else []
    return f"{name}<{','.join(said)}>" if said else name


def read_keys(keys: Mapping[str, Any], needed: Sequence[str], optional: Sequence[str]) -> dict[str, Any]:
    """The keyed style without keys that say nothing (None, ``"NA"``).

    Raises:
        ValueError: if a key is unknown or a needed one is missing.
    """
    said = {k: v for k, v in keys.items() if v not in _ABSENT}
    unknown = [k for k in said if k not in needed and k not in optional]
    missing = [k for k in needed if k not in said]
    if unknown or missing:
        fault = f"unknown {unknown[0]!r}" if unknown else f"{missing[0]!r} is missing"
        rest = f", and may have {', '.join(optional)}" if optional else ""
        raise ValueError(f"{fault}; it needs {', '.join(needed) or 'no key'}{rest}")
    return said


def block_of(value: Any) -> int:
    """The size of blocks along the last dimension, from ``16``, ``[16]`` or ``[1, 16]``.

    Raises:
        ValueError: if blocks would reach over several dimensions.
    """
    sizes = list(cast("list[Any]", value)) if isinstance(value, list | tuple) else [value]
    if not sizes or any(type(s) is not int for s in sizes) or any(s != 1 for s in sizes[:-1]):
        raise ValueError(f"blocks run along the last dimension, as in 16 or [1, 16]; found {value!r}")
    return sizes[-1]


def floor_log2(value: float) -> int:
    """``floor(log2(abs(value)))`` of a number that is not zero, exactly.

    Example:
        >>> floor_log2(8.0), floor_log2(7.999), floor_log2(-0.25)
        (3, 2, -2)
    """
    return math.frexp(value)[1] - 1
