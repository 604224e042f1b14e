"""One bit: ``binary``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.words import read_keys, read_words, write_words

__all__ = ["Binary"]


@register_format
@dataclass(frozen=True)
class Binary(Format):
    """``binary``: ``+1`` for numbers that are not negative, else ``-1``; codes 1 and 0.

    ``binary<scaled>`` multiplies by the mean magnitude of the tensor (XNOR-Net, arXiv:1603.05279),
    ``binary<scaled,channel=0>`` by that of each index of an axis.

    Example:
        >>> f = Binary()
        >>> str(f), f.bits, f.min, f.max
        ('binary', 1, -1.0, 1.0)
        >>> str(Binary(scaled=True, channel=0))
        'binary<scaled,channel=0>'
    """

    scaled: bool = False
    channel: int | None = None

    family: ClassVar[str] = "binary"
    names: ClassVar[tuple[str, ...]] = ("binary",)
    keyed_names: ClassVar[tuple[str, ...]] = ("binary",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "scaling_factor", "channel", "bipolar", "stochastic"),
    )

    def __post_init__(self) -> None:
        if self.channel is not None and not self.scaled:
            raise ValueError("channel is for a scaled format, as in binary<scaled,channel=0>")

    def __str__(self) -> str:
        return write_words("binary", "scaled" * self.scaled, keys={"channel": self.channel})

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        usage = f"{name}, {name}<scaled> or {name}<scaled,channel=A>"
        words = read_words(args, usage, (0, 0), ("channel",), ("scaled",), False)
        return cls("scaled" in words.flags, **words.keys)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, (), cls.keyed_parameters)
        if said.get("width", 1) != 1 or said.get("stochastic", False) or not said.get("bipolar", True):
            raise ValueError("expected width 1, bipolar (values -1 and 1) and not stochastic")
        return cls(said.get("scaling_factor", False), said.get("channel"))

    @property
    def bits(self) -> int:
        return 1

    @property
    def min(self) -> float:
        return -self.max

    @property
    def max(self) -> float:
        return math.inf if self.scaled else 1.0

    def contains(self, value: float) -> bool:
        return 0 < abs(value) < math.inf if self.scaled else abs(value) == 1

    @property
    def scale_bits(self) -> int:
        return 32 if self.scaled else 0

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        if not self.scaled:
            return None
        return () if self.channel is None else (shape[self.channel],)
