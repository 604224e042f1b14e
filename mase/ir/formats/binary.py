"""One bit: ``binary``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.signs import Signs
from mase.ir.formats.words import read_keys

__all__ = ["Binary"]


@register_format
@dataclass(frozen=True)
class Binary(Signs):
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

    family: ClassVar[str] = "binary"
    names: ClassVar[tuple[str, ...]] = ("binary",)
    keyed_names: ClassVar[tuple[str, ...]] = ("binary",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "scaling_factor", "channel", "bipolar", "stochastic"),
    )

    def __post_init__(self) -> None:
        if self.channel is not None and not self.scaled:
            raise ValueError("channel is for a scaled format, as in binary<scaled,channel=0>")

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, (), cls.keyed_parameters)
        if said.get("width", 1) != 1 or said.get("stochastic", False) or not said.get("bipolar", True):
            raise ValueError("expected width 1, bipolar (values -1 and 1) and not stochastic")
        return cls(said.get("scaling_factor", False), said.get("channel"))

    @property
    def bits(self) -> int:
        return 1

    def contains(self, value: float) -> bool:
        return 0 < abs(value) < math.inf if self.scaled else abs(value) == 1
