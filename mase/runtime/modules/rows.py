"""Blocks along any dimensions: a tensor's rows, quantized along the last dimension, and put back."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from mase.ir.axes import Axes

__all__ = ["along"]


def along(axes: Axes, x: Tensor, quantize: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function that works along the last dimension to the rows that ``axes`` say.

    Args:
        axes: the dimensions that make a row.
        x: a tensor of any shape.
        quantize: keeps the shape of what it is given.

    Returns:
        A tensor of the shape of ``x``.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> along(Axes((0,)), x, lambda rows: rows.cumsum(-1)).tolist()
        [[1.0, 2.0], [4.0, 6.0]]
    """
    result = _along(axes, x, quantize)
    # Another layout would make what follows sum in another order, and so differ from a compiled module.
    return result.contiguous() if x.is_contiguous() else result


def _along(axes: Axes, x: Tensor, quantize: Callable[[Tensor], Tensor]) -> Tensor:
    dims = axes.of(x.dim())
    if (axes.groups == 1 and dims == (x.dim() - 1,)) or not dims:
        return quantize(x)
    parts = x
    if axes.groups > 1:  # the first dimension falls into the number of its group and what is in it
        first = dims[0]
        size = x.shape[first] // axes.groups
        parts = x.reshape(*x.shape[:first], axes.groups, size, *x.shape[first + 1 :])
        dims = tuple(d + (d >= first) for d in dims)
    order = [d for d in range(parts.dim()) if d not in dims] + list(dims)
    moved = parts.permute(order)
    kept = moved.shape[: -len(dims)]
    rows = quantize(moved.reshape(*kept, math.prod(moved.shape[len(kept) :])))
    back = [order.index(d) for d in range(len(order))]
    return rows.reshape(moved.shape).permute(back).reshape(x.shape)
