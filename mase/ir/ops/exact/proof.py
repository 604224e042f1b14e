"""What is proved of a rescaling: that it gives the integers of the quantized module."""

from __future__ import annotations

from mase.ir.annotations import register_annotation

__all__ = ["RoundsAlike"]


@register_annotation("rounds_alike")
class RoundsAlike:
    """A requantization and the quantized module, which rescales in float64, round every accumulator alike.

    Args:
        channels: how many multipliers the node has.
        doubtful: those of them for which this is not proved: an accumulator meets a tie, or the module rounds
            the value to float32 before, since its caller sees it.

    Example:
        >>> str(RoundsAlike(channels=64)), str(RoundsAlike(channels=64, doubtful=(3, 17)))
        ('proved', 'proved but for 2 of 64')
    """

    channels: int
    doubtful: tuple[int, ...] = ()

    def of_none(self) -> RoundsAlike:
        """The same where nothing is proved of any channel."""
        return RoundsAlike(channels=self.channels, doubtful=tuple(range(self.channels)))

    def __str__(self) -> str:
        return f"proved but for {len(self.doubtful)} of {self.channels}" if self.doubtful else "proved"
