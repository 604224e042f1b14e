"""Along which dimensions of a tensor blocks of numbers share a scale."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Axes"]


@dataclass(frozen=True)
class Axes:
    """The dimensions that blocks, groups and tokens run along, the first of them outermost.

    A tensor quantized in blocks is seen as rows that hold these dimensions and no other. The row of a
    convolution's weight ``[out, in, height, width]`` is one output's, so that its dimensions are 1, 2 and 3.

    Args:
        dims: dimensions, counted from the end if negative. Those that a tensor does not have do not
            count; if it has none of them, its last dimension takes their place.
        groups: into how many parts the first of them falls; each has rows of its own.

    Example:
        >>> Axes((1, 2, 3)).of(4), Axes((-2,)).of(1)
        ((1, 2, 3), (0,))
    """

    dims: tuple[int, ...] = (-1,)
    groups: int = 1

    def of(self, rank: int) -> tuple[int, ...]:
        """The dimensions of a tensor of ``rank``, counted from the start."""
        found = tuple(d % rank for d in self.dims if -rank <= d < rank)
        return found or (rank - 1,) * (rank > 0)
