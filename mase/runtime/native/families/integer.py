"""Scaled integers, with scales from the data."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from ctypes import Structure, c_float, c_int, c_int32, c_int64, c_void_p

import torch
from torch import Tensor

from mase.ir.format import ROUNDINGS
from mase.ir.formats import Integer
from mase.runtime.native.library import function
from mase.runtime.native.plans import Plan, register_plan
from mase.runtime.native.tensors import dense, fresh

__all__ = ["Integers", "integer"]

_WORTHWHILE = 8  # shorter runs than these are better left to torch


class _Constants(Structure):
    """``struct integer`` of csrc/integer.c."""

    _fields_ = (
        ("low", c_float),
        ("high", c_float),
        ("kmax", c_float),
        ("largest", c_float),
        ("is_signed", c_int32),
        ("asym", c_int32),
        ("rounding", c_int32),
        ("size", c_int64),
    )


class Integers(Plan):
    """Runs of values that share a scale."""

    def __init__(self, format: Integer) -> None:
        super().__init__(format.min, math.inf)
        sizes = c_int64, c_int64, c_int64, c_int, c_int
        self._function = function("mase_integer", *[c_void_p] * 4, *sizes, c_void_p)
        self._format = format
        self._whole = format.channel is None and format.group is None and not format.token
        flags = format.signed, format.asym, ROUNDINGS.index(format.rounding), format.group or 0
        largest = torch.finfo(torch.float32).max / 2 ** (format.width - format.signed)
        codes = format.code_min, format.code_max, max(format.code_max, 1)
        self._constants = _Constants(*codes, largest, *flags)
        self._address = ctypes.addressof(self._constants)

    def takes(self, shape: Sequence[int]) -> bool:
        channel = self._format.channel
        if channel is None:
            return True
        fits = -len(shape) <= channel < len(shape)
        return fits and math.prod(shape[channel % len(shape) + 1 :]) >= _WORTHWHILE

    def quantize(self, x: Tensor) -> Tensor:
        x = dense(x) if self._whole else x.contiguous()
        y = fresh(x)
        rows, columns, scales = self._runs(x.shape)
        found = x.new_empty((2, scales))  # scales and zero points
        pointers = x.data_ptr(), y.data_ptr(), found.data_ptr(), found.data_ptr() + 4 * scales
        self._function(*pointers, rows, columns, scales, torch.get_num_threads(), 1, self._address)
        return y

    def _runs(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Rows and columns, and how many scales there are."""
        count = math.prod(shape)
        if self._whole or not shape:
            return 1, count, 1
        if self._format.channel is not None:
            axis = self._format.channel % len(shape)
            columns = math.prod(shape[axis + 1 :])
            return math.prod(shape[: axis + 1]), columns, shape[axis]
        columns = shape[-1]
        rows = math.prod(shape[:-1])
        return rows, columns, rows * -(-columns // (self._format.group or max(columns, 1)))


@register_plan(Integer)
def integer(format: Integer) -> Integers | None:
    """The plan of scaled integers, None for those that float32 does not hold."""
    return Integers(format) if format.width <= 24 else None
