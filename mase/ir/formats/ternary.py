"""Three values: ``ternary``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, Reach, register_format
from mase.ir.formats.signs import Signs
from mase.ir.formats.words import read_keys

__all__ = ["Ternary"]


@register_format
@dataclass(frozen=True)
class Ternary(Signs):
    """``ternary``: the sign of numbers beyond a threshold of 0.7 of the mean magnitude, else 0.

    ``ternary<scaled>`` multiplies by the mean magnitude of the numbers beyond the threshold (Ternary
    Weight Networks, arXiv:1605.04711), and with ``channel=0`` threshold and factor are those of each
    index of an axis. Codes are -1, 0 and 1.

    Example:
        >>> f = Ternary(scaled=True)
        >>> str(f), f.bits, f.scale_bits
        ('ternary<scaled>', 2, 32)
    """

    family: ClassVar[str] = "ternary"
    names: ClassVar[tuple[str, ...]] = ("ternary",)
    keyed_names: ClassVar[tuple[str, ...]] = ("ternary",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "scaling_factor", "channel", "mean", "median", "max"),
    )

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, (), cls.keyed_parameters)
        for key in ("mean", "median", "max"):
            if key in said:
                raise ValueError(f'{key} is taken from the data; leave it out, or say "NA"')
        if said.get("width", 2) != 2:
            raise ValueError("expected width 2")
        return cls(said.get("scaling_factor", False), said.get("channel"))

    @property
    def bits(self) -> int:
        return 2

    def contains(self, value: float) -> bool:
        return math.isfinite(value) if self.scaled else value in (-1, 0, 1)

    @property
    def reach(self) -> Reach:
        return "tensor"  # the threshold is taken from it
