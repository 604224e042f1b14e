"""Integer square roots and reciprocals."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["NEWTON_STEPS", "reciprocal", "square_root"]

NEWTON_STEPS = 5


def square_root(n: Tensor) -> Tensor:
    """``floor(sqrt(n))``, exactly.

    Newton's iteration ``x <- (x + n // x) // 2`` from a power of two above the root and at most twice it.
    The relative error falls from 1 to 1/4, 1/40, 3.1e-4, 4.7e-8, and after `NEWTON_STEPS` = 5 is below
    1.1e-15, less than one unit below ``2**31``; from above the iteration never passes ``floor(sqrt(n))``.
    What may be left is one too many, and is taken away.

    Args:
        n: int64 in ``[0, 2**62)``.

    Example:
        >>> square_root(torch.tensor([0, 1, 3, 4, 2**62 - 1])).tolist()
        [0, 1, 1, 2, 2147483647]
    """
    powers = torch.tensor([4**i for i in range(31)], device=n.device)
    starts = torch.tensor([2**i for i in range(32)], device=n.device)
    x = starts[(n.unsqueeze(-1) >= powers).sum(-1)]
    for _ in range(NEWTON_STEPS):
        # A root of zero would divide by zero in the next step.
        x = ((x + n // x) >> 1).clamp(min=1)
    return x - (x * x > n).long()


def reciprocal(n: Tensor, bits: int) -> Tensor:
    """``2**bits / n`` to the nearest integer, ties up.

    Args:
        n: int64, at least 1 and below ``2**62``.
        bits: at most 62.

    Example:
        >>> reciprocal(torch.tensor([1, 3, 16, 1000]), 4).tolist()
        [16, 5, 1, 0]
    """
    return (2**bits + (n >> 1)) // n
