"""A plan: the C functions and constants that quantize to one format, and which tensors they take."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_int, c_int64, c_void_p
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from mase.ir import Format
from mase.runtime.native.library import function, library

__all__ = ["Layout", "Plan", "plan_for", "register_plan"]

Layout = Callable[[tuple[int, ...]], tuple[int, int]]
F = TypeVar("F", bound=Format)

_SIZES = (c_int64, c_int64, c_int, c_void_p)
_INTERNALS: Any = cast(Any, torch)._C
_LARGE = 1 << 20  # elements from which fewer page faults pay for asking


class Plan:
    """How the library quantizes to one format.

    Args:
        forward: the name of the C function ``(x, y, rows, columns, threads, constants)``.
        backward: that of ``(x, gradient, y, rows, columns, threads, constants)``.
        constants: what the functions know of the format.
        layout: rows and columns of a shape in C order; None where each value is on its own, so that
            any layout without holes does.
    """

    def __init__(
        self, forward: str, backward: str, constants: ctypes.Structure, layout: Layout | None = None
    ) -> None:
        self._forward = function(forward, c_void_p, c_void_p, *_SIZES)
        self._backward = function(backward, c_void_p, c_void_p, c_void_p, *_SIZES)
        self._constants = constants
        self._address = ctypes.addressof(constants)
        self._layout = layout

    def quantize(self, x: Tensor) -> Tensor:
        """The quantized values of ``x``, for which `plan_for` gave this plan."""
        x = self._dense(x)
        y = _fresh(x)
        self._forward(x.data_ptr(), y.data_ptr(), *self._sizes(x))
        return y

    def pass_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """``gradient`` where ``x`` lies in the representable range, 0 elsewhere."""
        x = self._dense(x)
        y = _fresh(x)
        if gradient.stride() != x.stride():
            gradient = torch.empty_like(x).copy_(gradient)
        self._backward(x.data_ptr(), gradient.data_ptr(), y.data_ptr(), *self._sizes(x))
        return y

    def _dense(self, x: Tensor) -> Tensor:
        if x.is_contiguous():
            return x
        if self._layout:
            return x.contiguous()
        return x if _without_holes(x) else torch.empty_like(x).copy_(x)

    def _sizes(self, x: Tensor) -> tuple[int, int, int, int]:
        rows, columns = self._layout(tuple(x.shape)) if self._layout else (1, x.numel())
        return rows, columns, torch.get_num_threads(), self._address


def _without_holes(x: Tensor) -> bool:
    """Whether the elements of ``x`` fill one stretch of memory, in whatever order."""
    return bool(torch.ops.aten.is_non_overlapping_and_dense(x))


def _fresh(x: Tensor) -> Tensor:
    """A tensor to fill, laid out like ``x``."""
    y = torch.empty_like(x)
    if y.numel() >= _LARGE:
        _prepare()(y.data_ptr(), 4 * y.numel())
    return y


@cache
def _prepare() -> Callable[..., Any]:
    return function("mase_prepare", c_void_p, c_int64)


Builder = Callable[[F], Plan | None]
_BUILDERS: dict[type[Format], Builder[Any]] = {}


def register_plan(format: type[F]) -> Callable[[Builder[F]], Builder[F]]:
    """Decorator: let a function say how to quantize to formats of one class, or None if the library cannot.

    Args:
        format: the class; its subclasses are not meant, for their arithmetic may differ.
    """

    def register(build: Builder[F]) -> Builder[F]:
        _BUILDERS[format] = build
        return build

    return register


@cache
def _plan_of(format: Format) -> Plan | None:
    if library() is None or not format.calibrated:
        return None
    import_module("mase.runtime.native.families")
    build = _BUILDERS.get(type(format))
    return build(format) if build else None


def plan_for(format: Format, *tensors: Tensor) -> Plan | None:
    """How the library quantizes to ``format``; None where the reference must.

    Args:
        format: a complete number format.
        tensors: what will be quantized, and its gradient if that will be taken.
    """
    if _is_observed() or not all(_is_plain(t) for t in tensors):
        return None
    return _plan_of(format)


def _is_plain(x: Tensor) -> bool:
    """Whether ``x`` is float32 in memory that C can read."""
    return (
        type(x) in (Tensor, nn.Parameter)
        and x.dtype is torch.float32
        and x.is_cpu
        and x.layout is torch.strided
        and not (x.is_neg() or x._is_zerotensor())
    )


def _is_observed() -> bool:
    """Whether torch follows what is computed, which C would hide from it."""
    return (
        torch.compiler.is_compiling()
        or _INTERNALS._are_functorch_transforms_active()
        or _INTERNALS._len_torch_dispatch_stack() > 0
        or _INTERNALS._get_tracing_state() is not None
    )
