"""Block floating point: ``bfp<W,E,B>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.biased import Biased
from mase.ir.formats.block import Block
from mase.ir.formats.minifloat import Float
from mase.ir.formats.words import block_of, read_keys, read_words, write_words

__all__ = ["BlockFP"]


@register_format
@dataclass(frozen=True)
class BlockFP(Biased, Block):
    """``bfp<W,E,B>``: blocks of ``B`` share an ``E``-bit exponent ``e`` (Microsoft floating point, MSFP).

    Elements are a sign and ``W-1`` bits of magnitude ``m``, of value ``±m * 2**(e-W+2)``, with
    ``e = floor(log2(max abs))`` clipped to ``[-bias, 2**E-1-bias]``; ``bias = 2**(E-1) - 1`` unless
    given. See Rouhani et al., Pushing the Limits of Narrow Precision Inferencing, NeurIPS 2020.

    Example:
        >>> f = BlockFP(8, 8, block=16)
        >>> str(f), f.average_bits, f.scale_range
        ('bfp<8,8,16>', 8.5, (-127, 128))
    """

    width: int
    exponent: int
    bias: int | None = None

    family: ClassVar[str] = "block_fp"
    names: ClassVar[tuple[str, ...]] = ("bfp",)
    keyed_names: ClassVar[tuple[str, ...]] = ("block_fp",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "exponent_width", "exponent_bias", "block_size", "skip_first_dim", "rounding"),
    )

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 25 or not 1 <= self.exponent <= 8:
            raise ValueError("expected a width of 2 to 25 and an exponent of 1 to 8 bits")
        self.check_bias(-127, 127)
        self.check_block()

    def __str__(self) -> str:
        numbers = self.width, self.exponent, self.block
        return write_words("bfp", *numbers, keys={"bias": self.bias}, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<W,E,B>", (3, 3), ("bias",))
        width, exponent, block = words.numbers
        return cls(width, exponent, block=block, rounding=words.rounding, **words.keys)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        optional = ("exponent_bias", "skip_first_dim", "rounding")
        said = read_keys(keys, ("width", "exponent_width", "block_size"), optional)
        return cls(
            said["width"],
            said["exponent_width"],
            said.get("exponent_bias"),
            block=block_of(said["block_size"]),
            rounding=said.get("rounding", "half_even"),
        )

    @property
    def element(self) -> Float:
        # One exponent bit adds one bit to the magnitude, at the same step as the subnormals.
        return Float(1, self.width - 2, bias=1, rounding=self.rounding)

    @property
    def scale_bits(self) -> int:
        return self.exponent

    @property
    def scale_offset(self) -> int:
        return self.exponent_bias
