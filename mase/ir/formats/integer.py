"""Scaled integers: ``int<W>`` and ``uint<W>``, codes ``k`` with value ``scale * (k - zero_point)``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mase.ir.format import Format, Reach, Rounding, register_format
from mase.ir.formats.words import read_keys, read_words, write_words

__all__ = ["Integer"]

_USAGE = "narrow or (for uint) asym, and one of channel=A, group=G and token"
_MAX_WIDTH = 32


@register_format
@dataclass(frozen=True)
class Integer(Format):
    """``int<W>``: signed codes in ``[-2**(W-1), 2**(W-1)-1]`` with a scale that is any positive float32.

    The value of a code ``k`` is ``s * k`` in float32, the code of a number ``clip(round(x / s))``, the
    quotient in float32: ONNX's ``QuantizeLinear`` and ``DequantizeLinear``. The scale comes from the
    data, ``absmax / kmax``, unless it is given. ``uint<W>`` has codes in ``[0, 2**W-1]``, and with
    ``asym`` an integer zero point ``z`` and values ``s * (k - z)``, the range being ``[min, max]`` of
    the data widened to hold 0. ``narrow`` drops the most negative code.

    One scale serves the tensor, each index of an axis (``channel=0``), each group of ``G`` along the
    last dimension (``group=128``) or each vector along the last dimension (``token``).

    Example:
        >>> f = Integer(4, group=128)
        >>> str(f), f.code_min, f.code_max, f.average_bits
        ('int<4,group=128>', -8, 7, 4.25)
        >>> str(Integer(8, signed=False, asym=True, channel=0, rounding="half_up"))
        'uint<8,asym,channel=0,half_up>'
    """

    width: int
    signed: bool = True
    asym: bool = False
    narrow: bool = False
    channel: int | None = None
    group: int | None = None
    token: bool = False
    rounding: Rounding = "half_even"

    family: ClassVar[str] = "scale_integer"
    names: ClassVar[tuple[str, ...]] = ("int", "uint")
    keyed_names: ClassVar[tuple[str, ...]] = ("int", "uint", "scale_integer")
    keyed_parameters: ClassVar[tuple[str, ...]] = (
        *("width", "signed", "asym", "narrow", "channel", "group", "token", "rounding"),
    )

    def __post_init__(self) -> None:
        low = 2 if self.signed and self.narrow else 1
        if not low <= self.width <= _MAX_WIDTH:
            raise ValueError(f"expected a width of {low} to {_MAX_WIDTH} bits, found {self.width}")
        if self.signed and self.asym:
            raise ValueError("asym is for unsigned formats, as in uint<8,asym>")
        if self.narrow and not self.signed:
            raise ValueError("narrow is for signed formats")
        if (self.channel is not None) + (self.group is not None) + self.token > 1:
            raise ValueError("expected one of channel, group and token")
        if self.group is not None and self.group < 1:
            raise ValueError(f"expected groups of at least 1, found {self.group}")

    def __str__(self) -> str:
        name = "int" if self.signed else "uint"
        flags = ("asym" * self.asym, "narrow" * self.narrow, "token" * self.token)
        keys = {"channel": self.channel, "group": self.group}
        return write_words(name, self.width, *flags, keys=keys, rounding=self.rounding)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        flags, keys = ("asym", "narrow", "token"), ("channel", "group")
        words = read_words(args, f"{name}<W> with {_USAGE}", (1, 1), keys, flags)
        return cls(
            words.numbers[0],
            signed=name == "int",
            **dict.fromkeys(words.flags, True),
            channel=words.keys.get("channel"),
            group=words.keys.get("group"),
            rounding=words.rounding,
        )

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        said = read_keys(keys, ("width",), cls.keyed_parameters[1:])
        signed = said.pop("signed", not said.get("asym", False))
        args = [str(said.pop("width"))]
        for key, value in said.items():
            if isinstance(value, bool):
                args += [key] if value else []
            else:
                args.append(value if key == "rounding" else f"{key}={value}")
        return cls.from_text("int" if signed else "uint", args)

    def with_rounding(self, rounding: Rounding) -> Integer:
        return replace(self, rounding=rounding)

    @property
    def bits(self) -> int:
        return self.width

    @property
    def code_min(self) -> int:
        """The smallest integer code."""
        return -(2 ** (self.width - 1)) + self.narrow if self.signed else 0

    @property
    def code_max(self) -> int:
        """The largest integer code."""
        return 2 ** (self.width - self.signed) - 1

    @property
    def min(self) -> float:
        return -math.inf if self.signed or self.asym else 0.0

    @property
    def max(self) -> float:
        return math.inf

    def contains(self, value: float) -> bool:
        """Whether some scale represents ``value``: every finite number of the right sign."""
        return math.isfinite(value) and self.min <= value

    @property
    def reach(self) -> Reach:
        return "row" if self.token or self.group is not None else "tensor"

    @property
    def scale_bits(self) -> int:
        return 32 + (self.width if self.asym else 0)

    @property
    def average_bits(self) -> float:
        return self.width + (self.scale_bits / self.group if self.group else 0.0)

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        if self.channel is not None:
            if not -len(shape) <= self.channel < len(shape):
                raise ValueError(f"{self}: a tensor of shape {list(shape)} has no axis {self.channel}")
            return (shape[self.channel],)
        if self.token:
            return tuple(shape[:-1])
        if self.group is not None:
            return (*shape[:-1], -(-(shape[-1] if shape else 1) // self.group))
        return ()
