"""``nvfp4<16>``: 4-bit floats with a scale for each 16 of them and one for the tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.blocked import Blocked
from mase.ir.formats.ocp import OcpFloat
from mase.ir.formats.words import block_of, read_keys, read_words, write_words

__all__ = ["NvFp4"]


@register_format
@dataclass(frozen=True)
class NvFp4(Blocked):
    """``nvfp4<16>``: ``fp4_e2m1`` elements, an ``fp8_e4m3fn`` scale per block, a float32 scale per tensor.

    The tensor's scale is ``absmax / (448 * 6)``, a block's ``absmax / 6`` over it, rounded to
    ``fp8_e4m3fn`` but to no less than its smallest positive number (NVIDIA's recipe for Blackwell).

    Example:
        >>> f = NvFp4()
        >>> str(f), f.average_bits
        ('nvfp4<16>', 4.5)
    """

    block: int = 16

    family: ClassVar[str] = "nvfp4"
    names: ClassVar[tuple[str, ...]] = ("nvfp4",)
    keyed_names: ClassVar[tuple[str, ...]] = ("nvfp4",)
    keyed_parameters: ClassVar[tuple[str, ...]] = ("block_size", "skip_first_dim", "rounding")
    block_scale: ClassVar[OcpFloat] = OcpFloat("fp8_e4m3fn")
    """The format of the scales."""

    def __post_init__(self) -> None:
        self.check_block()

    def __str__(self) -> str:
        return write_words("nvfp4", self.block, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<16> or {name}", (0, 1))
        return cls(*words.numbers, rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, (), cls.keyed_parameters)
        block = block_of(said["block_size"]) if "block_size" in said else 16
        return cls(block, rounding=said.get("rounding", "half_even"))

    @property
    def element(self) -> OcpFloat:
        """The format of the elements."""
        return OcpFloat("fp4_e2m1", rounding=self.rounding)

    @property
    def scale_bits(self) -> int:
        return self.block_scale.bits

    def storage_bits(self, shape: Sequence[int]) -> int:
        return super().storage_bits(shape) + 32

    @property
    def min(self) -> float:
        return -math.inf

    @property
    def max(self) -> float:
        return math.inf

    def contains(self, value: float) -> bool:
        """Whether some scale represents ``value``: every finite number."""
        return math.isfinite(value)
