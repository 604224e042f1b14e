"""Number formats: values with canonical text such as ``f32`` or ``fixed<8,4>``.

A format says which numbers a tensor may hold. One class per arithmetic family, never one per bit
width; a family joins by `register_format`, from this package or from a plugin. The arithmetic
(encode, decode, quantize) belongs to `mase.runtime.kernels`, so that nothing here needs torch.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = [
    "ROUNDINGS",
    "Format",
    "Reach",
    "Rounding",
    "Uncalibrated",
    "format_families",
    "format_from_keys",
    "keyed_parameters",
    "parse_format",
    "register_format",
]

Rounding = Literal["half_even", "half_up", "floor"]
"""Nearest with ties to the even code, nearest with ties to the larger number, or the nearest number below."""
ROUNDINGS: tuple[Rounding, ...] = get_args(Rounding)
Reach = Literal["value", "row", "tensor"]


class Format(ABC):
    """A set of representable numbers.

    Subclasses are frozen dataclasses; two formats are equal when their texts are. ``names`` lists
    the words that open the canonical text, ``keyed_names`` what ``name = "..."`` may say in the
    keyed style (``name = "integer"``, ``data_in_width = 8``) and ``keyed_parameters`` the keys that
    it then takes, without the operand's prefix.

    Some formats share scales between values. They know how many scales a tensor needs
    (`scale_shape`) and how many bits each takes (`scale_bits`).
    """

    names: ClassVar[tuple[str, ...]] = ()
    keyed_names: ClassVar[tuple[str, ...]] = ()
    keyed_parameters: ClassVar[tuple[str, ...]] = ()
    family: ClassVar[str] = ""
    """The arithmetic, as in ``mase.linear_integer``: by default the first of ``names``. An element type,
    which quantizes nothing, says that it has none."""

    @property
    @abstractmethod
    def bits(self) -> int:
        """Storage bits of one value's code."""

    @property
    @abstractmethod
    def min(self) -> float:
        """The smallest representable number."""

    @property
    @abstractmethod
    def max(self) -> float:
        """The largest representable number."""

    @abstractmethod
    def contains(self, value: float) -> bool:
        """Whether ``value`` is representable exactly."""

    @abstractmethod
    def __str__(self) -> str:
        """The canonical text, which `parse_format` reads back."""

    @classmethod
    @abstractmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        """Build from ``name<args>``; raise ValueError with what was expected."""

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        """Build from the keyed style with the operand's prefix removed (``width``, ``frac_width``)."""
        raise ValueError(f"{cls.__name__} has no keyed style")

    @property
    def calibrated(self) -> bool:
        """Whether every parameter is known (``fixed<8>`` still needs its fraction)."""
        return True

    def with_rounding(self, rounding: Rounding) -> Format:
        """The same numbers under another rounding mode; a format that never rounds is its own."""
        return self

    @property
    def reach(self) -> Reach:
        """What beside a number itself decides about its code: nothing, its row (the last dimension), all."""
        return "tensor" if self.scale_bits else "value"

    # -- storage ----------------------------------------------------------------------------

    @property
    def scale_bits(self) -> int:
        """Storage bits of one shared scale, its zero point included; 0 without scales."""
        return 0

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The shape of the scales of a tensor of ``shape``; None without scales."""
        return None

    @property
    def average_bits(self) -> float:
        """Bits a value of a large tensor: its code and its part of a scale shared by a block or group."""
        return float(self.bits)

    def storage_bits(self, shape: Sequence[int]) -> int:
        """Bits of a whole tensor of ``shape``, scales included.

        Example:
            >>> import mase.ir
            >>> parse_format("int<4,group=32>").storage_bits((8, 64)) == 8 * 64 * 4 + 8 * 2 * 32
            True
        """
        scales = self.scale_shape(shape)
        return math.prod(shape) * self.bits + (0 if scales is None else math.prod(scales) * self.scale_bits)


class Uncalibrated(Format):
    """A format whose free parameter is to be taken from statistics, such as ``fixed<8>``."""

    @property
    def calibrated(self) -> bool:
        return False

    @abstractmethod
    def fit(self, low: float, high: float) -> Format:
        """The finest format of the family that represents all of ``[low, high]`` without overflow."""

    @abstractmethod
    def candidates(self, low: float, high: float) -> Sequence[Format]:
        """Formats worth comparing by their error on data in ``[low, high]``, coarsest first."""


_FAMILIES: dict[str, type[Format]] = {}
_KEYED: dict[str, type[Format]] = {}
_TEXT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*(?:<([^<>]*)>)?\s*")

F = TypeVar("F", bound=type[Format])


def register_format(cls: F) -> F:
    """Class decorator: make a format known by its ``names`` and ``keyed_names``.

    Raises:
        ValueError: if a name is taken by another class.
    """
    for table, names in ((_FAMILIES, cls.names), (_KEYED, cls.keyed_names)):
        for name in names:
            if table.setdefault(name, cls) is not cls:
                raise ValueError(f"format name {name!r} is taken by {table[name].__name__}")
    if not any("family" in vars(base) for base in cls.__mro__ if base is not Format):
        cls.family = re.sub(r"\W+", "_", cls.names[0])
    return cls


def format_families() -> dict[str, type[Format]]:
    """Every registered format name with its class."""
    return dict(_FAMILIES)


def keyed_parameters() -> tuple[str, ...]:
    """Every key of the keyed style that some family takes, without an operand's prefix.

    Example:
        >>> import mase.ir
        >>> "exponent_bias_width" in keyed_parameters()
        True
    """
    return tuple(dict.fromkeys(p for family in _KEYED.values() for p in family.keyed_parameters))


def _guarded(what: str, build: Callable[[], Format]) -> Format:
    try:
        return build()
    except ValueError as error:
        raise MaseError.of(f"bad format {what}: {error}") from None


def parse_format(text: str) -> Format:
    """Read a format's canonical text.

    Raises:
        MaseError: if the family is unknown or its arguments are wrong, with a remedy.

    Example:
        >>> import mase.ir
        >>> f = parse_format("fixed<8,4>")
        >>> f.bits, f.min, f.max
        (8, -8.0, 7.9375)
        >>> parse_format("fixt<8,4>")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown format 'fixt<8,4>'
          help: did you mean 'fixed'?
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise MaseError.of(f"malformed format {text!r}", help="write it like f32 or fixed<8,4>")
    name, inside = match.group(1), match.group(2)
    family = _FAMILIES.get(name)
    if family is None:
        raise MaseError.of(f"unknown format {text!r}", help=did_you_mean(name, _FAMILIES))
    args = [a.strip() for a in inside.split(",")] if inside is not None else []
    return _guarded(repr(text), lambda: family.from_text(name, args))


def format_from_keys(name: str, keys: Mapping[str, Any]) -> Format:
    """Read the keyed style: ``name = "integer"`` with ``width`` and ``frac_width``.

    Raises:
        MaseError: if the family is unknown or its keys are wrong.

    Example:
        >>> import mase.ir
        >>> str(format_from_keys("integer", {"width": 8, "frac_width": 4}))
        'fixed<8,4>'
    """
    family = _KEYED.get(name)
    if family is None:
        raise MaseError.of(f"unknown arithmetic {name!r}", help=did_you_mean(name, _KEYED))
    return _guarded(f"name = {name!r}, {dict(keys)}", lambda: family.from_keys(keys))
