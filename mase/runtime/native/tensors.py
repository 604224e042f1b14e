"""Which tensors C code can read, and what it writes to."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_int64, c_void_p
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad as _forward_ad

from mase.runtime.native.library import function

__all__ = ["dense", "fresh", "is_observed", "is_plain", "laid_out_like", "threads_for"]

_INTERNALS: Any = cast(Any, torch)._C
_FORWARD_AD: Any = _forward_ad
_LARGE = 1 << 20  # elements from which fewer page faults pay for asking
_GRAIN = 1 << 15  # elements that are worth a thread, as in ATen


def is_plain(x: Tensor) -> bool:
    """Whether ``x`` is float32 in memory that C can read."""
    return (
        type(x) in (Tensor, nn.Parameter)
        and x.dtype is torch.float32
        and x.is_cpu
        and x.layout is torch.strided
        and not (x.is_neg() or x._is_zerotensor())
    )


def is_observed() -> bool:
    """Whether torch follows what is computed, which C would hide from it."""
    return (
        torch.compiler.is_compiling()
        or _INTERNALS._are_functorch_transforms_active()
        or _INTERNALS._len_torch_dispatch_stack() > 0
        or _INTERNALS._get_tracing_state() is not None
        or _FORWARD_AD._current_level >= 0
    )


def dense(x: Tensor) -> Tensor:
    """``x`` if its elements fill one stretch of memory, in whatever order, else a copy of which they do."""
    if x.is_contiguous() or torch.ops.aten.is_non_overlapping_and_dense(x):
        return x
    return torch.empty_like(x).copy_(x)


def laid_out_like(x: Tensor, model: Tensor) -> Tensor:
    """``x`` if it has the strides of ``model``, else a copy that has."""
    return x if x.stride() == model.stride() else torch.empty_like(model).copy_(x)


def threads_for(count: int) -> int:
    """How many threads should work on so many elements."""
    return min(torch.get_num_threads(), 1 + count // _GRAIN)


def fresh(x: Tensor) -> Tensor:
    """A tensor to fill, laid out like ``x``."""
    y = torch.empty_like(x)
    if y.numel() >= _LARGE:
        _prepare()(y.data_ptr(), 4 * y.numel())
    return y


@cache
def _prepare() -> Callable[..., Any]:
    return function("mase_prepare", c_void_p, c_int64)
