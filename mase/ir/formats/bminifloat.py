"""Block minifloat: ``bminifloat<W,E,BIAS,B>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.minifloat import Float
from mase.ir.formats.shared_bias import SharedBias
from mase.ir.formats.words import block_of, read_keys, read_words, write_words

__all__ = ["BlockMinifloat"]


@register_format
@dataclass(frozen=True)
class BlockMinifloat(SharedBias):
    """``bminifloat<W,E,BIAS,B>``: floats whose blocks of ``B`` share their exponent bias.

    Elements are ``float<E,W-E-1>`` with the block's own bias, an unsigned number of ``BIAS`` bits:
    ``2**E - 1 - floor(log2(max abs))`` clipped, which puts the block's largest magnitude into the
    uppermost binade. See Fox et al., A Block Minifloat Representation, ICLR 2021.

    Example:
        >>> f = BlockMinifloat(8, 4, 8, block=16)
        >>> str(f), str(f.element), f.average_bits
        ('bminifloat<8,4,8,16>', 'float<4,3>', 8.5)
    """

    width: int
    exponent: int
    bias_width: int

    family: ClassVar[str] = "block_minifloat"
    names: ClassVar[tuple[str, ...]] = ("bminifloat",)
    keyed_names: ClassVar[tuple[str, ...]] = ("block_minifloat",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "exponent_width", "exponent_bias_width", "block_size", "skip_first_dim", "rounding"),
    )

    def __str__(self) -> str:
        numbers = self.width, self.exponent, self.bias_width, self.block
        return write_words("bminifloat", *numbers, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W,E,BIAS,B>", (4, 4))
        *numbers, block = words.numbers
        return cls(*numbers, block=block, rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        needed = ("width", "exponent_width", "exponent_bias_width", "block_size")
        said = read_keys(keys, needed, ("skip_first_dim", "rounding"))
        rounding = said.get("rounding", "half_even")
        return cls(*(said[k] for k in needed[:3]), block=block_of(said["block_size"]), rounding=rounding)

    @property
    def element(self) -> Float:
        return Float(self.exponent, self.width - self.exponent - 1, rounding=self.rounding)
