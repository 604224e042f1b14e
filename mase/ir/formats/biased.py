"""Exponents with a bias: what ``float<E,M>``, ``denorm<W,E>`` and ``bfp<W,E,B>`` have in common."""

from __future__ import annotations

from mase.ir.format import Format

__all__ = ["Biased"]


class Biased(Format):
    """A format with an exponent field of ``exponent`` bits, from which its bias is subtracted.

    Not a dataclass itself, for each format has these two fields at places of its own.
    """

    exponent: int
    bias: int | None
    """None is ``2**(exponent-1) - 1``, as in IEEE 754."""

    @property
    def exponent_bias(self) -> int:
        """What is subtracted from the exponent field."""
        return 2 ** (self.exponent - 1) - 1 if self.bias is None else self.bias

    def check_bias(self, low: int, high: int) -> None:
        """Refuse a bias outside of ``[low, high]``; one that is usual becomes None, as if it were not given.

        Raises:
            ValueError: if it is outside.
        """
        if self.bias == 2 ** (self.exponent - 1) - 1:
            object.__setattr__(self, "bias", None)
        if not low <= self.exponent_bias <= high:
            raise ValueError(f"expected a bias of {low} to {high}, found {self.bias}")
