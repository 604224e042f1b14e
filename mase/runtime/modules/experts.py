"""Products with the weights of many experts."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["grouped_matmul"]


def grouped_matmul(data_in: Tensor, other: Tensor, ends: Tensor) -> Tensor:
    """Each expert's product with its own rows.

    Args:
        data_in: ``[rows, in]``, sorted by expert.
        other: the experts' weights, ``[experts, in, out]``.
        ends: the row after the last one of each expert, ``[experts]``.

    Returns:
        ``[rows, out]``; zeros after the last end.

    Example:
        >>> grouped_matmul(torch.ones(3, 1), torch.tensor([[[1.0]], [[2.0]]]), torch.tensor([1, 3])).flatten()
        tensor([1., 2., 2.])
    """
    parts: list[Tensor] = []
    start = 0
    for expert, end in enumerate(
        cast("list[int]", cast(Any, ends).tolist())
    ):  # an expert without rows is there too, for its gradient
        parts.append(data_in[start:end] @ other[expert])
        start = end
    parts.append(data_in.new_zeros(len(data_in) - start, other.shape[2]))
    return torch.cat(parts)
