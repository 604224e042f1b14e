"""Blocks of numbers that share a power of two: what MX, block floating point and their kin have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from mase.ir.formats.blocked import Blocked
from mase.ir.formats.words import floor_log2

__all__ = ["Block"]


@dataclass(frozen=True)
class Block(Blocked):
    """Elements of one small format, each block of them scaled by its own ``2**e``.

    Blocks run along the last dimension, and the last of them may be shorter. ``e`` is taken from the
    block's largest magnitude such that its leading bit becomes that of the largest element, and is
    clipped to what its code can say: ``e = scale_sign * (code - scale_offset)``.
    """

    scale_sign: ClassVar[int] = 1
    """-1 where the code is a bias, which is subtracted."""
    scale_nan: ClassVar[bool] = False
    """Whether the largest scale code says that the whole block is NaN."""
    covers: ClassVar[bool] = False
    """Whether ``e`` rounds up, so that the largest element is no smaller than the block's largest."""

    @property
    @abstractmethod
    def scale_offset(self) -> int:
        """The scale code of ``2**0``."""

    @property
    def scale_range(self) -> tuple[int, int]:
        """The least and the largest ``e``."""
        codes = 0, 2**self.scale_bits - 1 - self.scale_nan
        low, high = sorted(self.scale_sign * (code - self.scale_offset) for code in codes)
        return low, high

    @property
    def element_exponent(self) -> int:
        """``floor(log2)`` of the largest element."""
        return floor_log2(self.element.max)

    @property
    def min(self) -> float:
        return -self.max

    @property
    def max(self) -> float:
        return math.ldexp(self.element.max, self.scale_range[1])

    def contains(self, value: float) -> bool:
        """Whether a block can hold ``value``, with a scale of its choice."""
        if value == 0 or not math.isfinite(value):
            return value == 0 and self.element.contains(value)
        low, high = self.scale_range
        natural = max(low, min(floor_log2(value) - self.element_exponent, high))
        return any(
            self.element.contains(math.ldexp(value, -e)) for e in (natural, natural + 1) if low <= e <= high
        )
