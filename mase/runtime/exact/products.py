"""Exact sums of products by the float units: float64 multiplies matrices fast, and holds 53 bits.

Where a sum may need more, one operand is split into a high and a low half, whose products are summed by
themselves and joined in int64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["exact_product"]

_EXACT = {torch.float32: 2**24, torch.float64: 2**53}


def exact_product(x: Tensor, y: Tensor, terms: int, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``product(x, y)`` of integers, which sums ``terms`` products of their elements.

    Args:
        x: int64.
        y: int64.
        terms: how many products each element of the result sums.
        product: linear in ``x`` and in ``y``; computes on floats.

    Returns:
        int64, exact where the result fits into it.

    Example:
        >>> x, y = torch.tensor([[2**40 + 1]]), torch.tensor([[2**20 + 3]])
        >>> exact_product(x, y, 1, torch.matmul).item() == (2**40 + 1) * (2**20 + 3)
        True
    """
    most_x, most_y = _largest(x), _largest(y)
    bound = max(most_x * most_y * terms, most_x, most_y)
    for dtype in _usable(x.device):
        if bound <= _EXACT[dtype]:
            return product(x.to(dtype), y.to(dtype)).long()
    if most_x < most_y:
        return exact_product(y, x, terms, lambda b, a: product(a, b))
    bits = max(most_x.bit_length() // 2, 1)
    high = x >> bits
    low = x - (high << bits)
    upper = exact_product(high, y, terms, product)
    return (upper << bits) + exact_product(low, y, terms, product)


def _usable(device: torch.device) -> tuple[torch.dtype, ...]:
    """GPUs may round float32 operands to TF32, and multiply 16-bit parts of them on some CPUs."""
    plain = device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
    return (torch.float32, torch.float64) if plain else (torch.float64,)


def _largest(x: Tensor) -> int:
    if not x.numel():
        return 0
    low, high = x.aminmax()
    return max(-int(low), int(high))
