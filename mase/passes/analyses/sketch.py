"""A summary of any amount of numbers in a fixed amount of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from mase.passes.analyses.statistics import LEVELS, Statistics

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MANTISSA_BITS", "Sketch", "sketch"]

MANTISSA_BITS = 6
"""Leading mantissa bits that tell bins apart: a bin is at most ``2**-6`` of its numbers wide."""

_SHIFT = 23 - MANTISSA_BITS  # float32 patterns lose these bits
_HALF = 1 << (8 + MANTISSA_BITS)  # bins of one sign
_CHUNK = 1 << 20  # numbers looked at together, so that float64 copies stay small


class Sketch:
    """Counts numbers by the leading bits of their float32 pattern: sign, exponent, six mantissa bits.

    The bins are the same for every sketch, so that merging is exact and no earlier number is ever
    sorted in anew. Each bin keeps how many numbers fell into it and their sum. Count, minimum,
    maximum, mean and variance are exact up to float64 rounding (by the update of Chan et al.); a
    quantile is the mean of the bin that holds the exact order statistic, hence within ``2**-6`` of it,
    and exact where a bin holds one distinct number. A sketch takes 512 KiB.

    Example:
        >>> import torch
        >>> s = Sketch()
        >>> s.update(torch.tensor([0.0, 1.0, 2.0]))
        >>> s.update(torch.tensor([3.0, 4.0]))
        >>> s.count, s.min, s.max, s.mean, s.variance, s.quantile(0.5)
        (5, 0.0, 4.0, 2.0, 2.0, 2.0)
    """

    def __init__(self) -> None:
        import torch

        self.count = 0
        self.infinite = 0
        self.min, self.max = math.inf, -math.inf
        self.mean = 0.0
        self._squares = 0.0  # the sum of squared distances from the mean
        self._counts = torch.zeros(2 * _HALF, dtype=torch.int64)
        self._sums = torch.zeros(2 * _HALF, dtype=torch.float64)

    @property
    def variance(self) -> float:
        """The mean squared distance from the mean; 0 if nothing was seen."""
        return self._squares / self.count if self.count else 0.0

    def update(self, values: Tensor) -> None:
        """Take in every element of a tensor of floats.

        Args:
            values: of any shape, type and device.

        Raises:
            ValueError: if one is NaN; nothing of its chunk was taken in.
        """
        import torch

        for chunk in torch.split(values.detach().reshape(-1), _CHUNK):
            self._take(chunk.double().cpu())

    def merge(self, other: Sketch) -> None:
        """Take in everything that another sketch has seen."""
        self._combine(other.count, other.mean, other._squares, other.min, other.max)
        self.infinite += other.infinite
        self._counts += other._counts
        self._sums += other._sums

    def quantile(self, level: float) -> float:
        """The number below or at which a share ``level`` of all numbers lies; see `quantiles`."""
        return self.quantiles([level])[0]

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """The numbers below or at which given shares of all numbers lie.

        Args:
            levels: between 0 and 1.

        Raises:
            ValueError: if nothing was seen.
        """
        import torch

        if not self.count:
            raise ValueError("no number was seen")
        means, counts = self.bins()
        ranks = torch.tensor([min(max(math.ceil(level * self.count), 1), self.count) for level in levels])
        places = torch.searchsorted(counts.cumsum(0), ranks)
        values = means[places].clamp(self.min, self.max)
        return cast("list[float]", values.tolist())  # pyright: ignore[reportUnknownMemberType]

    def bins(self) -> tuple[Tensor, Tensor]:
        """The means of the bins that hold something, ascending, and how many numbers each holds."""
        import torch

        negative = torch.arange(2 * _HALF - 1, _HALF - 1, -1)
        order = torch.cat([negative, torch.arange(_HALF)])
        counts, sums = self._counts[order], self._sums[order]
        held = counts > 0
        return sums[held] / counts[held], counts[held]

    def squared_error(self, quantize: Callable[[Tensor], Tensor]) -> float:
        """The mean squared error if every number were replaced by its quantized self.

        Args:
            quantize: from float32 numbers to the nearest ones of a format.
        """
        if not self.count:
            return 0.0
        means, counts = self.bins()
        # A bin whose numbers agree gives its exact error; over many bins the rest averages out.
        errors = (quantize(means.float()).double() - means).square()
        return float((errors * counts).sum()) / self.count

    def statistics(self, levels: Sequence[float] = LEVELS) -> Statistics:
        """The summary as an annotation.

        Args:
            levels: the quantiles to keep, between 0 and 1.

        Raises:
            ValueError: if nothing was seen.
        """
        # More digits than are known would only fill the text of the graph.
        quantiles = [min(max(_rounded(q, 6), self.min), self.max) for q in self.quantiles(levels)]
        return Statistics(
            count=self.count,
            min=self.min,
            max=self.max,
            mean=_rounded(self.mean, 9),
            variance=_rounded(self.variance, 9),
            quantiles=dict(zip(map(str, levels), quantiles, strict=True)),
            infinite=self.infinite,
        )

    def _take(self, chunk: Tensor) -> None:
        import torch

        if not chunk.isfinite().all():
            if chunk.isnan().any():
                raise ValueError("NaN")
            finite = chunk[chunk.isfinite()]
            self.infinite += chunk.numel() - finite.numel()
            chunk = finite
        if not chunk.numel():
            return
        low, high, mean = float(chunk.min()), float(chunk.max()), float(chunk.mean())
        self._combine(chunk.numel(), mean, float((chunk - mean).square().sum()), low, high)
        limit = torch.finfo(torch.float32).max  # what float32 cannot hold joins the outermost bins
        pattern = chunk.clamp(-limit, limit).float().view(torch.int32)
        index = (pattern >> _SHIFT) & (2 * _HALF - 1)
        self._counts += torch.bincount(index, minlength=2 * _HALF)
        self._sums += torch.bincount(index, weights=chunk, minlength=2 * _HALF)

    def _combine(self, count: int, mean: float, squares: float, low: float, high: float) -> None:
        if not count:
            return
        total = self.count + count
        shift = mean - self.mean
        self._squares += squares + shift * shift * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total
        self.min, self.max = min(self.min, low), max(self.max, high)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def sketch(values: Tensor) -> Sketch:
    """The sketch of one tensor, such as a weight.

    Raises:
        ValueError: if an element is NaN.
    """
    made = Sketch()
    made.update(values)
    return made
