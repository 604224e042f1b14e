"""Plain integers of any width: ``si<W>`` and ``ui<W>``, the types of values at level ``integer``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.words import read_words, write_words

__all__ = ["Code"]

_MAX_WIDTH = 64


@register_format
@dataclass(frozen=True)
class Code(Format):
    """``si<W>``: two's complement integers of ``W`` bits, 1 to 64; ``ui<W>``: unsigned ones, up to 63 bits.

    A code stands for itself. What it means, its scale and zero point, is said by the `Quantity` of the node.

    Example:
        >>> f = Code(21)
        >>> str(f), f.code_min, f.code_max
        ('si<21>', -1048576, 1048575)
        >>> str(Code.holding(0, 127)), str(Code.holding(-3, 4))
        ('ui<7>', 'si<4>')
    """

    width: int
    signed: bool = True

    names: ClassVar[tuple[str, ...]] = ("si", "ui")
    family: ClassVar[str] = ""

    def __post_init__(self) -> None:
        most = _MAX_WIDTH if self.signed else _MAX_WIDTH - 1
        if not 1 <= self.width <= most:
            raise ValueError(f"expected a width of 1 to {most} bits, found {self.width}")

    @classmethod
    def holding(cls, low: int, high: int) -> Code:
        """The narrowest format that holds every integer of ``[low, high]``; unsigned if none is negative."""
        if low >= 0:
            return cls(max(high.bit_length(), 1), signed=False)
        return cls(max(high.bit_length(), (~low).bit_length()) + 1)

    def __str__(self) -> str:
        return write_words("si" if self.signed else "ui", self.width)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W>", (1, 1), rounds=False)
        return cls(words.numbers[0], signed=name == "si")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def code_min(self) -> int:
        """The smallest integer."""
        return -(2 ** (self.width - 1)) if self.signed else 0

    @property
    def code_max(self) -> int:
        """The largest integer."""
        return 2 ** (self.width - self.signed) - 1

    @property
    def min(self) -> float:
        return float(self.code_min)

    @property
    def max(self) -> float:
        return float(self.code_max)

    def contains(self, value: float) -> bool:
        return math.isfinite(value) and value == int(value) and self.code_min <= int(value) <= self.code_max
