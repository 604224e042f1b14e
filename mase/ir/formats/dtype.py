"""The element types that machines have: ``f32``, ``bf16``, ``i64``, ``bool`` and the like."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mase.ir.format import Format, register_format

__all__ = ["BOOL", "F32", "I64", "Dtype"]

# name: (torch's name, bits, exponent bits); exponent bits 0 marks an integer
_TABLE: dict[str, tuple[str, int, int]] = {
    "f64": ("float64", 64, 11),
    "f32": ("float32", 32, 8),
    "f16": ("float16", 16, 5),
    "bf16": ("bfloat16", 16, 8),
    "i64": ("int64", 64, 0),
    "i32": ("int32", 32, 0),
    "i16": ("int16", 16, 0),
    "i8": ("int8", 8, 0),
    "u64": ("uint64", 64, 0),
    "u32": ("uint32", 32, 0),
    "u16": ("uint16", 16, 0),
    "u8": ("uint8", 8, 0),
    "bool": ("bool", 8, 0),
}


@register_format
@dataclass(frozen=True)
class Dtype(Format):
    """A machine element type: an IEEE 754 binary float, bfloat16, a two's complement integer or bool.

    Example:
        >>> f = Dtype("bf16")
        >>> str(f), f.bits, f.torch_name, f.is_float
        ('bf16', 16, 'bfloat16', True)
        >>> f.contains(1.0), f.contains(1.001)
        (True, False)
    """

    name: str

    names: ClassVar[tuple[str, ...]] = tuple(_TABLE)
    family: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.name not in _TABLE:
            raise ValueError(f"expected one of {', '.join(_TABLE)}")

    def __str__(self) -> str:
        return self.name

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        if args:
            raise ValueError(f"{name} takes no arguments")
        return cls(name)

    @classmethod
    def from_torch_name(cls, torch_name: str) -> Dtype:
        """The format of a torch dtype, e.g. ``"float32"``.

        Raises:
            ValueError: if mase has no such element type.
        """
        for name, (known, _, _) in _TABLE.items():
            if known == torch_name:
                return cls(name)
        raise ValueError(f"no format for torch.{torch_name}")

    @property
    def torch_name(self) -> str:
        """The attribute of ``torch`` that is this dtype."""
        return _TABLE[self.name][0]

    @property
    def is_float(self) -> bool:
        return _TABLE[self.name][2] > 0

    @property
    def bits(self) -> int:
        return _TABLE[self.name][1]

    @property
    def min(self) -> float:
        if self.is_float:
            return -self.max
        signed = self.name.startswith("i")
        return -float(2 ** (self.bits - 1)) if signed else 0.0

    @property
    def max(self) -> float:
        _, bits, exponent_bits = _TABLE[self.name]
        if exponent_bits:
            mantissa = bits - 1 - exponent_bits
            return (2 - 2.0**-mantissa) * 2.0 ** (2 ** (exponent_bits - 1) - 1)
        if self.name == "bool":
            return 1.0
        return float(2 ** (bits - self.name.startswith("i")) - 1)

    def contains(self, value: float) -> bool:
        if not self.is_float:
            return self.min <= value <= self.max and value == int(value)
        if math.isnan(value) or math.isinf(value):
            return True
        if abs(value) > self.max:
            return False
        return self._rounds_to_itself(value)

    def _rounds_to_itself(self, value: float) -> bool:
        if self.name == "bf16":
            word = struct.pack(">f", value)
            return struct.unpack(">f", word)[0] == value and word[2:] == b"\0\0"
        code = {"f64": ">d", "f32": ">f", "f16": ">e"}[self.name]
        return struct.unpack(code, struct.pack(code, value))[0] == value


F32 = Dtype("f32")
I64 = Dtype("i64")
BOOL = Dtype("bool")
