"""A plan: the C functions and constants that quantize to one format."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from ctypes import c_float, c_int, c_int64, c_void_p
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor

from mase.ir import Format
from mase.runtime.native.library import function, library
from mase.runtime.native.tensors import dense, fresh, is_observed, is_plain, laid_out_like, threads_for

__all__ = ["Elementwise", "Plan", "ScaledPlan", "plan_for", "register_plan", "scaled_plan_for"]

F = TypeVar("F", bound=Format)
_LARGEST = torch.finfo(torch.float32).max


class Plan(ABC):
    """How the library quantizes to one format.

    Args:
        low: the least number that gradients pass at; -inf means all finite ones.
        high: the largest.
    """

    def __init__(self, low: float, high: float) -> None:
        self._limits = max(low, -_LARGEST), min(high, _LARGEST)
        limits = c_int64, c_int, c_float, c_float
        self._clip = function("mase_clip", c_void_p, c_void_p, c_void_p, *limits)
        self._within = function("mase_within", c_void_p, *limits, returns=c_int)

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether the library can quantize a tensor of this shape."""
        return True

    @abstractmethod
    def quantize(self, x: Tensor) -> Tensor:
        """The quantized values of ``x``, for which `plan_for` gave this plan."""

    def pass_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """``gradient`` where ``x`` lies in the representable range, 0 elsewhere."""
        x = dense(x)
        count = x.numel()
        sizes = count, threads_for(count), *self._limits
        if self._within(x.data_ptr(), *sizes):
            return gradient
        gradient, y = laid_out_like(gradient, x), fresh(x)
        self._clip(x.data_ptr(), gradient.data_ptr(), y.data_ptr(), *sizes)
        return y


class Elementwise(Plan):
    """Each value on its own.

    Args:
        name: the C function.
        constants: what it knows of the format.
        limits: as for `Plan`.
    """

    def __init__(self, name: str, constants: ctypes.Structure, limits: tuple[float, float]) -> None:
        super().__init__(*limits)
        self._function = function(name, c_void_p, c_void_p, c_int64, c_int64, c_int, c_void_p)
        self._constants = constants
        self._address = ctypes.addressof(constants)

    def quantize(self, x: Tensor) -> Tensor:
        x = dense(x)
        y = fresh(x)
        count = x.numel()
        self._function(x.data_ptr(), y.data_ptr(), 1, count, threads_for(count), self._address)
        return y


class ScaledPlan(Plan):
    """How the library quantizes to a format whose scales may be given."""

    @abstractmethod
    def quantize_with(
        self, x: Tensor, scale: Tensor, zero_point: Tensor | None, observed: Tensor | None = None
    ) -> Tensor:
        """The quantized values of ``x`` for given scales.

        Args:
            x: what `scaled_plan_for` gave this plan for.
            scale: float32, of the format's ``scale_shape``.
            zero_point: the same, if the format is ``asym``.
            observed: where to leave the finite range of ``x``, widened to hold 0: float32[2]. Only for
                formats with one scale; the same pass over memory finds it.
        """

    @abstractmethod
    def gradients(
        self, gradient: Tensor, x: Tensor, scale: Tensor, zero_point: Tensor | None, learn: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The straight-through gradient for given scales, and what LSQ's gradient of them is made from.

        Args:
            gradient: that of the quantized values.
            x: what was quantized.
            scale: with which scales.
            zero_point: and with which zero points.
            learn: whether the second result is wanted.

        Returns:
            ``gradient`` where ``x`` lies in the range, 0 elsewhere; and for each scale the float64 sum of
            ``gradient * y - result * x`` over the values that share it.
        """


Builder = Callable[[F], Plan | None]
_BUILDERS: dict[type[Format], Builder[Any]] = {}


def register_plan(*formats: type[F]) -> Callable[[Builder[F]], Builder[F]]:
    """Decorator: let a function say how to quantize to formats of some classes, or None if C cannot.

    Args:
        formats: the classes; their subclasses are not meant, for their arithmetic may differ.
    """

    def register(build: Builder[F]) -> Builder[F]:
        _BUILDERS.update(dict.fromkeys(formats, build))
        return build

    return register


@cache
def _plan_of(format: Format) -> Plan | None:
    if not format.calibrated or library() is None:
        return None
    import_module("mase.runtime.native.families")
    build = _BUILDERS.get(type(format))
    return build(format) if build else None


def plan_for(format: Format, *tensors: Tensor) -> Plan | None:
    """How the library quantizes to ``format``; None where the reference must.

    Args:
        format: a number format.
        tensors: what will be quantized, and its gradient if that will be taken.
    """
    if is_observed() or not all(is_plain(t) for t in tensors):
        return None
    plan = _plan_of(format)
    return plan if plan and plan.takes(tensors[0].shape) else None


def scaled_plan_for(format: Format, *tensors: Tensor) -> ScaledPlan | None:
    """How the library quantizes to ``format`` with given scales; None where the reference must.

    Args:
        format: a number format.
        tensors: what will be quantized, its gradient if that will be taken, and the scales.
    """
    plan = plan_for(format, *tensors)
    return plan if isinstance(plan, ScaledPlan) else None
