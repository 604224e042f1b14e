"""Small floats: ``float<E,M>``, IEEE-like with every code finite."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mase.ir.format import Format, Rounding, register_format
from mase.ir.formats.biased import Biased
from mase.ir.formats.words import floor_log2, read_keys, read_words, write_words

__all__ = ["Float", "Minifloat"]


@dataclass(frozen=True)
class Minifloat(Format):
    """What the floating formats share: numbers whose distance doubles from binade to binade.

    Below the least binade the distance stays: the subnormals. `fraction_bits` and `min_exponent`
    say it all, so one kernel rounds to every one of them.
    """

    rounding: Rounding = field(default="half_even", kw_only=True)

    @property
    @abstractmethod
    def fraction_bits(self) -> int:
        """How many bits follow the leading one: neighbours in ``[2**e, 2**(e+1))`` are ``2**(e-n)`` apart."""

    @property
    @abstractmethod
    def min_exponent(self) -> int:
        """The exponent of the least binade; below it lie the subnormals."""

    @property
    def special_codes(self) -> tuple[int | None, int | None]:
        """The magnitude codes of infinity and of the first NaN, None where every code is finite."""
        return None, None

    @property
    def smallest(self) -> float:
        """The smallest positive number."""
        return math.ldexp(1.0, self.min_exponent - self.fraction_bits)

    @property
    def min(self) -> float:
        return -self.max

    def contains(self, value: float) -> bool:
        if not math.isfinite(value) or abs(value) > self.max:
            return False
        exponent = max(floor_log2(value), self.min_exponent) if value else self.min_exponent
        return math.ldexp(value, self.fraction_bits - exponent).is_integer()

    def with_rounding(self, rounding: Rounding) -> Minifloat:
        return replace(self, rounding=rounding)


@register_format
@dataclass(frozen=True)
class Float(Biased, Minifloat):
    """``float<E,M>``: sign, ``E`` exponent bits, ``M`` fraction bits and an implicit leading one.

    As in IEEE 754, with subnormals and ``bias = 2**(E-1) - 1`` unless given, but no code is spent on
    infinities or NaN: the largest number is ``2**(2**E-1-bias) * (2 - 2**-M)``. The code is
    the bit pattern, sign first. Without fraction bits, a tie between powers of two goes to the larger.

    Example:
        >>> f = Float(4, 3)
        >>> str(f), f.bits, f.max, f.smallest
        ('float<4,3>', 8, 480.0, 0.001953125)
        >>> f.contains(17.0), f.contains(18.0)
        (False, True)
        >>> str(Float(4, 3, bias=9))
        'float<4,3,bias=9>'
    """

    exponent: int
    fraction: int
    bias: int | None = None

    family: ClassVar[str] = "minifloat_ieee"
    names: ClassVar[tuple[str, ...]] = ("float",)
    keyed_names: ClassVar[tuple[str, ...]] = ("minifloat_ieee", "float")
    keyed_parameters: ClassVar[tuple[str, ...]] = ("width", "exponent_width", "exponent_bias", "rounding")

    def __post_init__(self) -> None:
        if not 1 <= self.exponent <= 8 or not 0 <= self.fraction <= 23:
            raise ValueError("expected 1 to 8 exponent bits and 0 to 23 fraction bits")
        self.check_bias(-512, 512)

    def __str__(self) -> str:
        return write_words(
            "float", self.exponent, self.fraction, keys={"bias": self.bias}, rounding=self.rounding
        )

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<E,M> or {name}<E,M,bias=B>", (2, 2), ("bias",))
        return cls(*words.numbers, **words.keys, rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, ("width", "exponent_width"), ("exponent_bias", "rounding"))
        exponent, bias = said["exponent_width"], said.get("exponent_bias")
        return cls(exponent, said["width"] - exponent - 1, bias, rounding=said.get("rounding", "half_even"))

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.fraction

    @property
    def fraction_bits(self) -> int:
        return self.fraction

    @property
    def min_exponent(self) -> int:
        return 1 - self.exponent_bias

    @property
    def max(self) -> float:
        return math.ldexp(2.0 - 2.0**-self.fraction, 2**self.exponent - 1 - self.exponent_bias)
