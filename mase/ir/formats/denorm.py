"""Floats without an implicit leading one: ``denorm<W,E>``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.biased import Biased
from mase.ir.formats.minifloat import Minifloat
from mase.ir.formats.words import read_keys, read_words, write_words

__all__ = ["Denorm"]


@register_format
@dataclass(frozen=True)
class Denorm(Biased, Minifloat):
    """``denorm<W,E>``: numbers ``±2**e * m / 2**M`` with ``M = W-E-1`` bits in ``m`` and no implicit one.

    ``e`` lies in ``[-bias, 2**E-1-bias]``, ``bias = 2**(E-1) - 1`` unless given. Of the several codes
    of a number, `encode` gives the one with the least ``e``. The code is sign, ``e + bias``, ``m``.

    Example:
        >>> f = Denorm(8, 4)
        >>> str(f), f.max, f.smallest
        ('denorm<8,4>', 224.0, 0.0009765625)
        >>> f.contains(1.0), f.contains(1.125)
        (True, False)
    """

    width: int
    exponent: int
    bias: int | None = None

    family: ClassVar[str] = "minifloat_denorm"
    names: ClassVar[tuple[str, ...]] = ("denorm",)
    keyed_names: ClassVar[tuple[str, ...]] = ("minifloat_denorm", "denorm")
    keyed_parameters: ClassVar[tuple[str, ...]] = ("width", "exponent_width", "exponent_bias", "rounding")

    def __post_init__(self) -> None:
        if not 1 <= self.exponent <= 8 or not 1 <= self.mantissa <= 24:
            raise ValueError("expected 1 to 8 exponent bits and, beside them and the sign, 1 to 24 bits")
        self.check_bias(-512, 512)

    def __str__(self) -> str:
        return write_words(
            "denorm", self.width, self.exponent, keys={"bias": self.bias}, rounding=self.rounding
        )

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W,E> or {name}<W,E,bias=B>", (2, 2), ("bias",))
        return cls(*words.numbers, **words.keys, rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, ("width", "exponent_width"), ("exponent_bias", "rounding"))
        bias, rounding = said.get("exponent_bias"), said.get("rounding", "half_even")
        return cls(said["width"], said["exponent_width"], bias, rounding=rounding)

    @property
    def bits(self) -> int:
        return self.width

    @property
    def mantissa(self) -> int:
        """``M``, the bits of ``m``."""
        return self.width - self.exponent - 1

    @property
    def fraction_bits(self) -> int:
        return self.mantissa - 1

    @property
    def min_exponent(self) -> int:
        return -self.exponent_bias - 1

    @property
    def max(self) -> float:
        return math.ldexp(1.0 - 2.0**-self.mantissa, 2**self.exponent - 1 - self.exponent_bias)
