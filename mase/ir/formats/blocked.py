"""Rows of numbers in blocks, each with a scale: what MX, block floating point and NVFP4 have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from mase.ir.format import Format, Reach, Rounding

__all__ = ["Blocked"]


@dataclass(frozen=True)
class Blocked(Format):
    """Elements of one small format in blocks with a scale each; the last block of a row may be shorter."""

    block: int = field(default=32, kw_only=True)
    rounding: Rounding = field(default="half_even", kw_only=True)

    @property
    @abstractmethod
    def element(self) -> Format:
        """The format of the elements, at a scale of one."""

    def check_block(self) -> None:
        """Refuse a block without elements.

        Raises:
            ValueError: if it is.
        """
        if self.block < 1:
            raise ValueError(f"expected blocks of at least 1, found {self.block}")

    def with_rounding(self, rounding: Rounding) -> Self:
        return replace(self, rounding=rounding)

    @property
    def bits(self) -> int:
        return self.element.bits

    @property
    def reach(self) -> Reach:
        return "row"

    @property
    def average_bits(self) -> float:
        return self.bits + self.scale_bits / self.block

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[:-1], -(-(shape[-1] if shape else 1) // self.block))
