"""Microscaling floats: ``mxfp8_e4m3<B>``, ``mxfp8_e5m2<B>``, ``mxfp6_*<B>`` and ``mxfp4<B>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mase.ir.format import Format, register_format
from mase.ir.formats.block import Block
from mase.ir.formats.ocp import OcpFloat
from mase.ir.formats.words import block_of, read_keys, read_words, write_words

__all__ = ["MxFloat"]

_ELEMENTS = {
    "mxfp8_e4m3": "fp8_e4m3fn",
    "mxfp8_e5m2": "fp8_e5m2",
    "mxfp6_e3m2": "fp6_e3m2",
    "mxfp6_e2m3": "fp6_e2m3",
    "mxfp4": "fp4_e2m1",
}
_BY_BITS = {(8, 4): "mxfp8_e4m3", (8, 5): "mxfp8_e5m2", (6, 3): "mxfp6_e3m2", (6, 2): "mxfp6_e2m3"}


@register_format
@dataclass(frozen=True)
class MxFloat(Block):
    """``mxfp8_e4m3<B>`` and its kin: OCP floats whose blocks share a power of two as an 8-bit exponent.

    The shared scale is ``2**(floor(log2(max abs)) - emax)`` with ``emax`` the exponent of the largest
    element, and elements saturate: OCP Microscaling Formats (MX) v1.0, sections 5.2, 5.3 and 6.3.

    Example:
        >>> f = MxFloat("mxfp4")
        >>> str(f), f.element_exponent, f.average_bits
        ('mxfp4<32>', 2, 4.25)
    """

    name: str

    family: ClassVar[str] = "mxfp"
    names: ClassVar[tuple[str, ...]] = tuple(_ELEMENTS)
    keyed_names: ClassVar[tuple[str, ...]] = ("mxfp",)
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "exponent_width", "exponent_bias_width", "block_size", "skip_first_dim", "rounding"),
    )
    scale_nan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.name not in _ELEMENTS:
            raise ValueError(f"expected one of {', '.join(_ELEMENTS)}")
        self.check_block()

    def __str__(self) -> str:
        return write_words(self.name, self.block, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        words = read_words(args, f"{name}<B> or {name}", (0, 1))
        return cls(name, block=(*words.numbers, 32)[0], rounding=words.rounding)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, ("width", "exponent_width"), cls.keyed_parameters[2:])
        bits = said["width"], said["exponent_width"]
        name = _BY_BITS.get(bits, "mxfp4" if bits == (4, 2) else None)
        if name is None or said.get("exponent_bias_width", 8) != 8:
            raise ValueError("expected width and exponent_width 8,4 8,5 6,3 6,2 or 4,2, and an 8-bit scale")
        rounding = said.get("rounding", "half_even")
        return cls(name, block=block_of(said.get("block_size", 32)), rounding=rounding)

    @property
    def element(self) -> OcpFloat:
        return OcpFloat(_ELEMENTS[self.name], rounding=self.rounding)

    @property
    def scale_bits(self) -> int:
        return 8

    @property
    def scale_offset(self) -> int:
        return 127
