"""Formats by role, as users write them: short texts or the keyed style, in one table.

``{data_in = "fixed<8,4>"}`` and ``{name = "integer", data_in_width = 8, data_in_frac_width = 4}`` say
the same. A role whose format is an element type (``f32``), or ``bypass = true`` for all, stays in float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.format import Format, format_from_keys, keyed_parameters, parse_format
from mase.ir.formats import Code, Dtype

__all__ = ["formats_by_role"]


def formats_by_role(
    config: Mapping[str, Any] | None, roles: Iterable[str], arithmetic: str = "integer"
) -> dict[str, Format | None]:
    """The format of each role that a table mentions.

    Args:
        config: role names with format texts (or formats, or None), or the keyed style, or both.
        roles: the names that may be mentioned.
        arithmetic: what the keyed style means where it has no ``name``.

    Returns:
        A format, or None where the role is to stay in float; roles not mentioned are absent.

    Raises:
        MaseError: for an unknown key or a bad format, with a remedy.

    Example:
        >>> roles = ("data_in", "weight", "bias")
        >>> found = formats_by_role({"data_in_width": 8, "data_in_frac_width": 4, "bias": None}, roles)
        >>> str(found["data_in"]), found["bias"]
        ('fixed<8,4>', None)
        >>> formats_by_role({"wieght": "fixed<8,4>"}, roles)
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown key 'wieght' for a quantized operand
          help: did you mean 'weight'?
    """
    known = tuple(roles)
    config = dict(config or {})
    arithmetic = config.pop("name", arithmetic)
    bypass = config.pop("bypass", False)
    texts: dict[str, Any] = {k: v for k, v in config.items() if k in known}
    keyed: dict[str, dict[str, Any]] = {}
    for key in (key for key in config if key not in texts):
        role, parameter = _split(key, known)
        keyed.setdefault(role, {})[parameter] = config[key]
    if bypass:
        return dict.fromkeys(known)
    both = sorted(texts.keys() & keyed.keys())
    if both:
        raise MaseError.of(f"{both[0]!r} is given twice, as a text and by keys")
    found = {role: _text(role, value) for role, value in texts.items()}
    return found | {role: format_from_keys(arithmetic, keys) for role, keys in keyed.items()}


def _split(key: str, roles: Iterable[str]) -> tuple[str, str]:
    parameters = keyed_parameters()
    for role in sorted(roles, key=len, reverse=True):
        parameter = key.removeprefix(f"{role}_")
        if parameter != key and parameter in parameters:
            return role, parameter
    words = [*roles, "name", "bypass", *(f"{r}_{p}" for r in roles for p in parameters)]
    raise MaseError.of(
        f"unknown key {key!r} for a quantized operand",
        help=did_you_mean(key, words) or f"roles: {', '.join(roles)}",
    )


def _text(role: str, value: Any) -> Format | None:
    if value is None or isinstance(value, Format):
        return None if isinstance(value, Dtype) else value
    if not isinstance(value, str):
        raise MaseError.of(
            f"expected a format for {role!r}, found {value!r}", help='write it like "fixed<8,4>"'
        )
    found = parse_format(value)
    if isinstance(found, Code):
        raise MaseError.of(
            f"{role} = {found}: plain integers have no scale to quantize by",
            help=f"write fixed<{found.width},F> or int<{found.width}>, whose codes are {found}",
        )
    return None if isinstance(found, Dtype) else found
