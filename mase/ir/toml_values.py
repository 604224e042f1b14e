"""Plain values as one line of TOML, in one canonical way."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["toml_inline", "toml_key", "toml_pairs"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_key(key: str) -> str:
    """A key, quoted only if it must be.

    Example:
        >>> toml_key("l1"), toml_key("l1.weight")
        ('l1', '"l1.weight"')
    """
    return key if _BARE.fullmatch(key) else _string(key)


def toml_inline(value: Any) -> str:
    """A value on one line.

    Raises:
        TypeError: if TOML has no such value.

    Example:
        >>> print(toml_inline({"x": [1, 2.0, "a"], "on": True}))
        { x = [1, 2.0, "a"], on = true }
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case str():
            return _string(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case Mapping():
            pairs = toml_pairs(cast(Mapping[str, Any], value))
            return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
        case Sequence():
            return "[" + ", ".join(toml_inline(v) for v in cast(Sequence[Any], value)) + "]"
        case _:
            raise TypeError(f"TOML has no value of type {type(value).__name__}")


def toml_pairs(table: Mapping[str, Any]) -> list[str]:
    """``key = value`` for each entry."""
    return [f"{toml_key(k)} = {toml_inline(v)}" for k, v in table.items()]


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)


def _string(text: str) -> str:
    # JSON's string syntax is TOML's, but for the one control character that JSON leaves alone.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
