"""The small floats of the Open Compute Project: ``fp8_e4m3fn``, ``fp8_e5m2``, ``fp6_*``, ``fp4_e2m1``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.minifloat import Minifloat
from mase.ir.formats.words import read_words, write_words

__all__ = ["OcpFloat"]

# name: (exponent bits, fraction bits, largest number, code of infinity, first code of NaN)
_TABLE: dict[str, tuple[int, int, float, int | None, int | None]] = {
    "fp8_e4m3fn": (4, 3, 448.0, None, 0x7F),
    "fp8_e5m2": (5, 2, 57344.0, 0x7C, 0x7D),
    "fp6_e3m2": (3, 2, 28.0, None, None),
    "fp6_e2m3": (2, 3, 7.5, None, None),
    "fp4_e2m1": (2, 1, 6.0, None, None),
}


@register_format
@dataclass(frozen=True)
class OcpFloat(Minifloat):
    """A float of the OCP 8-bit floating point (OFP8) and Microscaling (MX) v1.0 specifications.

    Values beyond the largest saturate, infinities too. The 8-bit ones have codes for NaN, and
    ``fp8_e5m2`` one for infinity, which decodes but is never made.

    Example:
        >>> f = OcpFloat("fp8_e4m3fn")
        >>> str(f), f.bits, f.max, f.smallest
        ('fp8_e4m3fn', 8, 448.0, 0.001953125)
        >>> str(OcpFloat("fp4_e2m1", rounding="floor"))
        'fp4_e2m1<floor>'
    """

    name: str

    family: ClassVar[str] = "minifloat_ieee"
    names: ClassVar[tuple[str, ...]] = tuple(_TABLE)

    def __post_init__(self) -> None:
        if self.name not in _TABLE:
            raise ValueError(f"expected one of {', '.join(_TABLE)}")

    def __str__(self) -> str:
        return write_words(self.name, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        return cls(name, rounding=read_words(args, name, (0, 0)).rounding)

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.fraction_bits

    @property
    def exponent(self) -> int:
        """The number of exponent bits."""
        return _TABLE[self.name][0]

    @property
    def fraction_bits(self) -> int:
        return _TABLE[self.name][1]

    @property
    def min_exponent(self) -> int:
        return 2 - 2 ** (self.exponent - 1)

    @property
    def max(self) -> float:
        return _TABLE[self.name][2]

    @property
    def special_codes(self) -> tuple[int | None, int | None]:
        return _TABLE[self.name][3:]
