"""Average pools: the exact sum of each window, times a fixed-point ``1/n``.

For windows of ``n`` elements of ``W`` bits the reciprocal is ``rne(2**R / n) * 2**-R`` with
``R = W - 1 + 2*ceil(log2 n)``. The product then differs from the true mean by less than ``1/(2n)`` of the
input's last bit, and so rounds to the input's grid as the true mean does, unless that lies exactly
between two numbers of it. ``R`` is at most ``53 - W``, so that float64 always computes the product exactly.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir import Fixed
from mase.ir.ops import pool
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.elementwise import as_tuple, spatial_rank
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import Grid, require_exact, trusted

__all__ = ["Average", "Factor", "factor_of", "reciprocal_bits"]

Window = tuple[int, int]


def reciprocal_bits(width: int, terms: int) -> int:
    """The fractional bits of ``1/n`` for sums of up to ``terms`` numbers of ``width`` bits.

    Args:
        width: bits of an element.
        terms: the number of elements of the largest window, or the divisor if that is larger.

    Example:
        >>> reciprocal_bits(8, 49), reciprocal_bits(32, 49)
        (19, 21)
    """
    return min(width - 1 + 2 * (terms - 1).bit_length(), 53 - width)


class Average(QuantizedModule):
    """The mean over some dimensions, or over windows of them."""

    @abstractmethod
    def averaged(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of the dimensions that means are taken over, for an input of ``shape``."""

    @abstractmethod
    def factor(self, shape: tuple[int, ...], width: int) -> Factor:
        """One over the number of elements of each mean, for an input of ``shape`` and ``width`` bits."""

    @abstractmethod
    def sums(self, x: Tensor) -> Tensor:
        """The sum of what each mean is taken over."""

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        format = self.formats["data_in"]
        if not isinstance(format, Fixed):
            return self.evaluate(None, super().forward, {"data_in": input})
        shape = tuple(input.shape)
        if any(type(size) is not int for size in self.averaged(shape)):  # a trace: only shapes matter
            return cast(Tensor, super().forward(input))
        factor = self.factor(shape, format.width)
        exact = None if self.training else trusted(self._exact(factor), input.device)
        # Sums need more bits than 16-bit floats have, in training too.
        low = exact is None and input.dtype in (torch.float16, torch.bfloat16)
        x = input.float() if low else input

        def mean(quantized: Tensor) -> Tensor:
            return self.sums(quantized) * factor.values(quantized, quantized.dtype)

        result = self.evaluate(exact, mean, {"data_in": x})
        return result.to(input.dtype) if low else result

    def _exact(self, factor: Factor) -> torch.dtype:
        sums = cast(Grid, self.grid("data_in")).sum_of(factor.terms)
        reciprocal = Grid(factor.frac, max(factor.codes))
        return require_exact(self.op_class.name, sums, reciprocal, sums.times(reciprocal))


@dataclass(frozen=True)
class Factor:
    """The reciprocals of the windows' sizes; numbers only, so that nothing of a trace stays in the cache.

    Args:
        codes: integers, one a window in row-major order, or one for all windows.
        shape: how they lie over the spatial dimensions.
        frac: their fractional bits.
        terms: the number of elements of the largest window.
    """

    codes: tuple[int, ...]
    shape: tuple[int, ...]
    frac: int
    terms: int

    def values(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """The reciprocals as a tensor that broadcasts over windows."""
        exact = torch.tensor(self.codes, dtype=torch.float64, device=like.device) * 2.0**-self.frac
        return exact.to(dtype).view(self.shape)


@lru_cache(maxsize=256)
def factor_of(windows: tuple[tuple[Window, ...], ...], divisor: int | None, width: int) -> Factor:
    """The reciprocals for windows.

    Args:
        windows: for each dimension the (start, end) of each window.
        divisor: what to divide by instead of the number of elements.
        width: bits of an element.
    """
    counts = [math.prod(end - start for start, end in window) for window in product(*windows)]
    divisors = [divisor or count for count in counts]
    frac = reciprocal_bits(width, max(counts + divisors))
    codes = tuple(_reciprocal(n, frac) for n in divisors)
    if len(set(codes)) == 1:
        return Factor(codes[:1], (), frac, max(counts))
    return Factor(codes, tuple(map(len, windows)), frac, max(counts))


def _reciprocal(n: int, frac: int) -> int:
    """``2**frac / n`` to the nearest integer; there are no ties, for a power of two divides exactly."""
    return (2 ** (frac + 1) + n) // (2 * n)


class PoolAverage(Average):
    """The mean of each window of the last dimensions of ``[N, C, *spatial]`` or ``[C, *spatial]``."""

    @abstractmethod
    def windows(self, sizes: tuple[int, ...]) -> list[list[Window]]:
        """For each spatial dimension the (start, end) of each window that count for the divisor."""

    def averaged(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[-spatial_rank(self) :]

    def factor(self, shape: tuple[int, ...], width: int) -> Factor:
        divisor: int | None = getattr(self, "divisor_override", None)
        return factor_of(tuple(map(tuple, self.windows(self.averaged(shape)))), divisor, width)


@arithmetic(pool.AvgPool1d, nn.AvgPool1d)
@arithmetic(pool.AvgPool2d, nn.AvgPool2d)
class WindowAverage(PoolAverage):
    """The mean of sliding windows."""

    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool
    count_include_pad: bool

    def op_attributes(self) -> dict[str, Any]:
        rank = spatial_rank(self)
        return {
            "kernel": as_tuple(self.kernel_size, rank),
            "stride": as_tuple(self.stride, rank),
            "padding": as_tuple(self.padding, rank),
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
            "divisor_override": getattr(self, "divisor_override", None),
        }

    def windows(self, sizes: tuple[int, ...]) -> list[list[Window]]:
        op = self.mase_op.float_op
        assert isinstance(op, pool.AvgPool)
        return [
            [
                self._clipped(i * op.stride[d] - op.padding[d], op.kernel[d], size, op.padding[d])
                for i in range(n)
            ]
            for d, (size, n) in enumerate(zip(sizes, self._outputs(sizes), strict=True))
        ]

    def _outputs(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return self.sums(torch.empty(1, *sizes, device="meta")).shape[1:]

    def _clipped(self, start: int, kernel: int, size: int, padding: int) -> Window:
        end = min(start + kernel, size + padding)
        return (start, end) if self.count_include_pad else (max(start, 0), min(end, size))

    def sums(self, x: Tensor) -> Tensor:
        rank = spatial_rank(self)
        flat = (1,) * (2 - rank)
        kernel, stride = (flat + as_tuple(s, rank) for s in (self.kernel_size, self.stride))
        padding = (0,) * (2 - rank) + as_tuple(self.padding, rank)
        planes = x.unsqueeze(-2) if rank == 1 else x
        result = F.avg_pool2d(planes, kernel, stride, padding, self.ceil_mode, True, divisor_override=1)
        return result.squeeze(-2) if rank == 1 else result


@arithmetic(pool.AdaptiveAvgPool1d, nn.AdaptiveAvgPool1d)
@arithmetic(pool.AdaptiveAvgPool2d, nn.AdaptiveAvgPool2d)
class AdaptiveAverage(PoolAverage):
    """The mean of as many windows as asked, which overlap where sizes do not divide."""

    output_size: Any

    def op_attributes(self) -> dict[str, Any]:
        return {"output_size": as_tuple(self.output_size, spatial_rank(self))}

    def windows(self, sizes: tuple[int, ...]) -> list[list[Window]]:
        wanted = as_tuple(self.output_size, spatial_rank(self))
        outputs = [size if out is None else out for size, out in zip(sizes, wanted, strict=True)]
        return [
            [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]
            for size, out in zip(sizes, outputs, strict=True)
        ]

    def sums(self, x: Tensor) -> Tensor:
        """One dimension after another, as products with matrices of zeros and ones."""
        rank = spatial_rank(self)
        for i, windows in enumerate(self.windows(tuple(x.shape[-rank:]))):
            dim = i - rank
            if len(windows) == 1:
                x = x.sum(dim, keepdim=True)
            elif len(windows) != x.shape[dim]:
                ones = x.new_zeros(x.shape[dim], len(windows))
                for column, (start, end) in enumerate(windows):
                    ones[start:end, column] = 1
                x = (x.transpose(dim, -1) @ ones).transpose(dim, -1)
        return x
