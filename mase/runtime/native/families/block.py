"""Blocks that share a power of two: MX, block floating point, block minifloat."""

from __future__ import annotations

import ctypes
from ctypes import Structure, c_int, c_int32, c_int64, c_void_p

from torch import Tensor

from mase.ir import Fixed
from mase.ir.format import ROUNDINGS
from mase.ir.formats import Block, BlockFP, BlockMinifloat, Minifloat, MxFloat, MxInt
from mase.runtime.native.families.minifloat import MinifloatConstants
from mase.runtime.native.library import function
from mase.runtime.native.plans import Plan, register_plan
from mase.runtime.native.tensors import fresh, threads_for

__all__ = ["Blocks", "block"]


class _Constants(Structure):
    """``struct block`` of csrc/block.c."""

    _fields_ = (
        ("element", MinifloatConstants),
        ("size", c_int32),
        ("element_exponent", c_int32),
        ("low", c_int32),
        ("high", c_int32),
        ("covers", c_int32),
        ("fixed", c_int32),
    )


class Blocks(Plan):
    """Blocks along the last dimension."""

    def __init__(self, format: Block, element: MinifloatConstants) -> None:
        super().__init__(format.min, format.max)
        self._function = function("mase_block", c_void_p, c_void_p, c_int64, c_int64, c_int, c_void_p)
        is_fixed = isinstance(format.element, Fixed)
        sizes = format.block, format.element_exponent, *format.scale_range
        self._constants = _Constants(element, *sizes, format.covers, is_fixed)
        self._address = ctypes.addressof(self._constants)

    def quantize(self, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = fresh(x)
        columns = x.shape[-1] if x.dim() else 1
        count = x.numel()
        rows = count // columns if columns else 0
        self._function(x.data_ptr(), y.data_ptr(), rows, columns, threads_for(count), self._address)
        return y


@register_plan(MxFloat, MxInt, BlockFP, BlockMinifloat)
def block(format: Block) -> Blocks | None:
    """The plan of a block format, None where C has no number for the size."""
    if format.block >= 2**31:
        return None
    element = _element(format)
    low, high = format.scale_range
    # Rounded down, what is too small for float32 once scaled is no zero.
    element.wide |= format.rounding == "floor" or low < -127 or high > 127
    return Blocks(format, element)


def _element(format: Block) -> MinifloatConstants:
    element = format.element
    if isinstance(element, Minifloat):
        return MinifloatConstants.of(element)
    # Fixed point below 2 is the small float of one binade and subnormals.
    assert isinstance(element, Fixed)
    wide = element.frac > 21
    return MinifloatConstants(element.max, element.frac, 0, ROUNDINGS.index(format.rounding), wide)
