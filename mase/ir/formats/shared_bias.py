"""Blocks that share the bias of their exponents: what ``bminifloat`` and ``blog`` have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from mase.ir.formats.biased import Biased
from mase.ir.formats.block import Block
from mase.ir.formats.log import Log

__all__ = ["SharedBias"]


class SharedBias(Block):
    """Elements with an exponent, each block of them with a bias of its own: an unsigned number.

    Not a dataclass itself, for each format has ``bias_width`` at a place of its own.
    """

    bias_width: int
    scale_sign: ClassVar[int] = -1

    @property
    @abstractmethod
    def element(self) -> Biased | Log: ...

    def __post_init__(self) -> None:
        if not 1 <= self.bias_width <= 8:
            raise ValueError(f"expected a shared bias of 1 to 8 bits, found {self.bias_width}")
        self.check_block()
        _ = self.element  # which checks the rest

    @property
    def scale_bits(self) -> int:
        return self.bias_width

    @property
    def scale_offset(self) -> int:
        return self.element.exponent_bias
