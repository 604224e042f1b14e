"""Powers of two: ``log<W>``, whose codes are a sign and an exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mase.ir.format import Format, Rounding, register_format
from mase.ir.formats.words import read_keys, read_words, write_words

__all__ = ["Log"]


@register_format
@dataclass(frozen=True)
class Log(Format):
    """``log<W>``: numbers ``±2**e`` with ``e`` in ``[-bias, 2**(W-1)-1-bias]`` (arXiv:1603.01025).

    ``bias = 2**(W-2) - 1`` unless given. The nearest number is the nearest exponent. There
    is no zero: 0 becomes the smallest positive number. The code is sign, ``e + bias``.

    Example:
        >>> f = Log(4)
        >>> str(f), f.min_exponent, f.max_exponent, f.max
        ('log<4>', -3, 4, 16.0)
        >>> f.contains(0.5), f.contains(0.75), f.contains(0.0)
        (True, False, False)
    """

    width: int
    bias: int | None = None
    rounding: Rounding = field(default="half_even", kw_only=True)

    family: ClassVar[str] = "log"
    names: ClassVar[tuple[str, ...]] = ("log",)
    keyed_names: ClassVar[tuple[str, ...]] = ("log",)
    keyed_parameters: ClassVar[tuple[str, ...]] = ("width", "exponent_bias", "rounding")

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 10:
            raise ValueError(f"expected a width of 2 to 10 bits, found {self.width}")
        if self.bias == 2 ** (self.width - 2) - 1:
            object.__setattr__(self, "bias", None)  # said in full, it is the same format
        if not -512 <= self.exponent_bias <= 1022:
            raise ValueError(f"expected a bias of -512 to 1022, found {self.bias}")

    def __str__(self) -> str:
        return write_words("log", self.width, keys={"bias": self.bias}, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W> or {name}<W,bias=B>", (1, 1), ("bias",))
        return cls(*words.numbers, **words.keys, rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, ("width",), ("exponent_bias", "rounding"))
        return cls(said["width"], said.get("exponent_bias"), rounding=said.get("rounding", "half_even"))

    def with_rounding(self, rounding: Rounding) -> Log:
        return replace(self, rounding=rounding)

    @property
    def bits(self) -> int:
        return self.width

    @property
    def exponent_bias(self) -> int:
        """What is subtracted from the exponent field."""
        return 2 ** (self.width - 2) - 1 if self.bias is None else self.bias

    @property
    def min_exponent(self) -> int:
        """The least exponent, also that of 0."""
        return -self.exponent_bias

    @property
    def max_exponent(self) -> int:
        """The largest exponent."""
        return 2 ** (self.width - 1) - 1 - self.exponent_bias

    @property
    def min(self) -> float:
        return -self.max

    @property
    def max(self) -> float:
        return math.ldexp(1.0, self.max_exponent)

    def contains(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        mantissa, exponent = math.frexp(abs(value))
        return mantissa == 0.5 and self.min_exponent <= exponent - 1 <= self.max_exponent
