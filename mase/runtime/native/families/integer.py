"""Scaled integers, with scales from the data or given ones, which may be learned."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from ctypes import Structure, c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mase.ir.format import ROUNDINGS
from mase.ir.formats import Integer
from mase.runtime.native.library import function
from mase.runtime.native.plans import ScaledPlan, register_plan
from mase.runtime.native.tensors import dense, fresh, laid_out_like, threads_for

__all__ = ["Integers", "integer"]

_WORTHWHILE = 8  # shorter runs than these are better left to torch
_PIECE = 1 << 14  # that of csrc/integer.c
_RUNS = (c_int64, c_int64, c_int64, c_int)


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

    @classmethod
    def of(cls, format: Integer) -> _Constants:
        largest = torch.finfo(torch.float32).max / 2 ** (format.width - format.signed)
        codes = format.code_min, format.code_max, max(format.code_max, 1)
        rounding = ROUNDINGS.index(format.rounding)
        return cls(*codes, largest, format.signed, format.asym, rounding, format.group or 0)


class Integers(ScaledPlan):
    """Runs of values that share a scale."""

    def __init__(self, format: Integer) -> None:
        super().__init__(format.min, math.inf)
        self._format = format
        self._whole = format.channel is None and format.group is None and not format.token
        self._constants = _Constants.of(format)
        self._address = ctypes.addressof(self._constants)

    def takes(self, shape: Sequence[int]) -> bool:
        channel = self._format.channel
        if channel is None:
            return True
        fits = -len(shape) <= channel < len(shape)
        return fits and math.prod(shape[channel % len(shape) + 1 :]) >= _WORTHWHILE

    def quantize(self, x: Tensor) -> Tensor:
        x = self._arranged(x)
        y = fresh(x)
        runs = self._runs(x.shape)
        found = x.new_empty((2, runs[2]))  # scales and zero points
        zero = found.data_ptr() + 4 * runs[2]
        self._dynamic(x.data_ptr(), y.data_ptr(), found.data_ptr(), zero, *runs, self._address)
        return y

    def quantize_with(
        self, x: Tensor, scale: Tensor, zero_point: Tensor | None, observed: Tensor | None = None
    ) -> Tensor:
        x = self._arranged(x)
        y = fresh(x)
        scale, zero = _floats(scale, zero_point)
        seen = None if observed is None else observed.data_ptr()
        pointers = x.data_ptr(), y.data_ptr(), scale.data_ptr(), zero.data_ptr()
        self._given(*pointers, *self._runs(x.shape), seen, self._address)
        return y

    def gradients(
        self, gradient: Tensor, x: Tensor, scale: Tensor, zero_point: Tensor | None, learn: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        if not x.numel():
            return gradient, torch.zeros_like(scale, dtype=torch.float64) if learn else None
        x = self._arranged(x)
        gradient, y = laid_out_like(gradient, x), fresh(x)
        factors = _floats(scale, zero_point)
        runs = self._runs(x.shape)
        sums = torch.zeros(self._sums(runs), dtype=torch.float64) if learn else None
        pointers = [t.data_ptr() for t in (x, gradient, y, *factors)]
        self._backward(*pointers, *runs, None if sums is None else sums.data_ptr(), self._address)
        return y, None if sums is None else sums.view(-1, runs[2]).sum(0).view(scale.shape)

    # -- how the library is called ----------------------------------------------------------

    @property
    def _dynamic(self) -> Callable[..., Any]:
        return _function("mase_integer", 4, *_RUNS, c_void_p)

    @property
    def _given(self) -> Callable[..., Any]:
        return _function("mase_integer_given", 4, *_RUNS, c_void_p, c_void_p)

    @property
    def _backward(self) -> Callable[..., Any]:
        return _function("mase_integer_backward", 5, *_RUNS, c_void_p, c_void_p)

    def _arranged(self, x: Tensor) -> Tensor:
        return dense(x) if self._whole else x.contiguous()

    def _runs(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Rows, columns, how many scales there are, and threads."""
        count = math.prod(shape)
        threads = threads_for(count)
        if self._whole or not shape:
            return 1, count, 1, threads
        if self._format.channel is not None:
            axis = self._format.channel % len(shape)
            return math.prod(shape[: axis + 1]), math.prod(shape[axis + 1 :]), shape[axis], threads
        columns = shape[-1]
        rows = math.prod(shape[:-1])
        return rows, columns, rows * -(-columns // (self._format.group or max(columns, 1))), threads

    def _sums(self, runs: tuple[int, int, int, int]) -> int:
        """How many partial sums the library leaves: those of one run's pieces, or one of each run."""
        rows, columns, _, _ = runs
        in_row = -(-columns // (self._format.group or max(columns, 1)))
        return -(-columns // _PIECE) if rows * in_row == 1 else rows * in_row


@cache
def _function(name: str, pointers: int, *rest: type) -> Callable[..., Any]:
    return function(name, *[c_void_p] * pointers, *rest)


def _floats(scale: Tensor, zero_point: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scales and zero points as the library reads them."""
    scale = scale.detach().contiguous()
    return scale, torch.zeros_like(scale) if zero_point is None else zero_point.float().contiguous()


@register_plan(Integer)
def integer(format: Integer) -> Integers | None:
    """The plan of scaled integers, None for those that float32 does not hold."""
    return Integers(format) if format.width <= 24 else None
