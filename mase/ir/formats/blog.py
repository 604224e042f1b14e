"""Block logarithmic numbers: ``blog<W,BIAS,B>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.log import Log
from mase.ir.formats.shared_bias import SharedBias
from mase.ir.formats.words import block_of, read_keys, read_words, write_words

__all__ = ["BlockLog"]


@register_format
@dataclass(frozen=True)
class BlockLog(SharedBias):
    """``blog<W,BIAS,B>``: powers of two whose blocks of ``B`` share their exponent bias.

    Elements are ``log<W>`` with the block's own bias, an unsigned number of ``BIAS`` bits:
    ``2**(W-1) - 1 - ceil(log2(max abs))`` clipped, so that the block's largest magnitude is covered.

    Example:
        >>> f = BlockLog(4, 8, block=16)
        >>> str(f), str(f.element), f.average_bits
        ('blog<4,8,16>', 'log<4>', 4.5)
    """

    width: int
    bias_width: int

    family: ClassVar[str] = "block_log"
    names: ClassVar[tuple[str, ...]] = ("blog",)
    keyed_names: ClassVar[tuple[str, ...]] = ("block_log",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "exponent_bias_width", "block_size", "skip_first_dim", "rounding"),
    )
    covers: ClassVar[bool] = True

    def __str__(self) -> str:
        return write_words("blog", self.width, self.bias_width, self.block, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W,BIAS,B>", (3, 3))
        width, bias_width, block = words.numbers
        return cls(width, bias_width, block=block, rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        needed = ("width", "exponent_bias_width", "block_size")
        said = read_keys(keys, needed, ("skip_first_dim", "rounding"))
        rounding = said.get("rounding", "half_even")
        return cls(*(said[k] for k in needed[:2]), block=block_of(said["block_size"]), rounding=rounding)

    @property
    def element(self) -> Log:
        return Log(self.width, rounding=self.rounding)
