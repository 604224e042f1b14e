"""What `profile` leaves on nodes: summaries of the numbers that a value or a weight took."""

from __future__ import annotations

from collections.abc import Mapping

from mase.ir.annotations import register_annotation

__all__ = ["LEVELS", "ParamStatistics", "Statistics"]

LEVELS: tuple[float, ...] = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""The quantiles that are kept unless others are asked for."""


@register_annotation("statistics")
class Statistics:
    """A summary of the numbers that one value took; on a node, of its result.

    Args:
        count: how many finite numbers were seen.
        min: the smallest, exactly.
        max: the largest, exactly.
        mean: their mean, to nine digits.
        variance: the mean squared distance from it (divided by ``count``), to nine digits.
        quantiles: by level as text (``"0.5"`` is the median), each within a factor of ``1 ± 2**-6`` of
            the number that sorting all of them would give.
        infinite: how many infinities were seen; they count for nothing else.

    Example:
        >>> s = Statistics(count=4, min=-1.0, max=2.0, mean=0.5, variance=1.25, quantiles={"0.5": 0.0})
        >>> s.magnitude, s.quantile(0.5)
        (2.0, 0.0)
    """

    count: int
    min: float
    max: float
    mean: float
    variance: float
    quantiles: Mapping[str, float]
    infinite: int = 0

    @property
    def magnitude(self) -> float:
        """The largest absolute value."""
        return max(abs(self.min), abs(self.max))

    def quantile(self, level: float) -> float:
        """The quantile at a level that was kept.

        Args:
            level: between 0 and 1, such as 0.999.

        Raises:
            KeyError: if another level was asked for than `profile` was told to keep.
        """
        return self.quantiles[str(level)]


@register_annotation("param_statistics")
class ParamStatistics:
    """The summaries of a node's weights and floating-point buffers.

    Args:
        roles: by parameter role, such as ``weight``.
    """

    roles: Mapping[str, Statistics]
