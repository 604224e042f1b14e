"""Microscaling integers: ``mxint<W,B>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.block import Block
from mase.ir.formats.fixed import Fixed
from mase.ir.formats.words import block_of, read_keys, read_words, write_words

__all__ = ["MxInt"]


@register_format
@dataclass(frozen=True)
class MxInt(Block):
    """``mxint<8,B>``: MXINT8 of the OCP Microscaling Formats (MX) v1.0 specification, and other widths.

    A block shares ``2**floor(log2(max abs))`` as an 8-bit exponent (E8M0); elements are
    two's complement ``k * 2**-(W-2)`` with ``k`` in ``±(2**(W-1)-1)``. ``exponent=E`` gives the shared
    exponent other than 8 bits.

    Example:
        >>> f = MxInt(8)
        >>> str(f), f.element.min, f.average_bits
        ('mxint<8,32>', -1.984375, 8.25)
    """

    width: int
    exponent: int = 8

    family: ClassVar[str] = "mxint"
    names: ClassVar[tuple[str, ...]] = ("mxint",)
    keyed_names: ClassVar[tuple[str, ...]] = ("mxint", "mxint_hardware")
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "exponent_width", "block_size", "parallelism", "skip_first_dim", "rounding"),
    )
    scale_nan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 24 or not 2 <= self.exponent <= 8:
            raise ValueError("expected a width of 2 to 24 and an exponent of 2 to 8 bits")
        self.check_block()

    def __str__(self) -> str:
        keys = {"exponent": None if self.exponent == 8 else self.exponent}
        return write_words("mxint", self.width, self.block, keys=keys, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W,B> or {name}<W>", (1, 2), ("exponent",))
        width, block = (*words.numbers, 32)[:2]
        return cls(width, block=block, rounding=words.rounding, **words.keys)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, ("width",), cls.keyed_parameters[1:])
        if "block_size" in said and "parallelism" in said:
            raise ValueError("block_size and parallelism say the same; expected one of them")
        return cls(
            said["width"],
            said.get("exponent_width", 8),
            block=block_of(said.get("block_size", said.get("parallelism", 32))),
            rounding=said.get("rounding", "half_even"),
        )

    @property
    def element(self) -> Fixed:
        return Fixed(self.width, self.width - 2, narrow=True, rounding=self.rounding)

    @property
    def scale_bits(self) -> int:
        return self.exponent

    @property
    def scale_offset(self) -> int:
        return 2 ** (self.exponent - 1) - 1
