"""Numbers that keep their sign and share one magnitude: what ``binary`` and ``ternary`` have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mase.ir.format import Format
from mase.ir.formats.words import read_words, write_words

__all__ = ["Signs"]


@dataclass(frozen=True)
class Signs(Format):
    """``name``, ``name<scaled>`` or ``name<scaled,channel=A>``: the magnitude is one, or taken from the data.

    Args:
        scaled: whether it is taken from the data.
        channel: the axis with a magnitude for each of its indices; None has one for the tensor.
    """

    scaled: bool = False
    channel: int | None = None

    def __str__(self) -> str:
        return write_words(self.family, "scaled" * self.scaled, keys={"channel": self.channel})

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        usage = f"{name}, {name}<scaled> or {name}<scaled,channel=A>"
        words = read_words(args, usage, (0, 0), ("channel",), ("scaled",), False)
        return cls("scaled" in words.flags, **words.keys)

    @property
    def min(self) -> float:
        return -self.max

    @property
    def max(self) -> float:
        return math.inf if self.scaled else 1.0

    @property
    def scale_bits(self) -> int:
        return 32 if self.scaled else 0

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        if not self.scaled:
            return None
        return () if self.channel is None else (shape[self.channel],)
