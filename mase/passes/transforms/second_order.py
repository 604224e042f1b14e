"""GPTQ: round the numbers of a row one after the other, and let those to come make up for the error.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023
(arXiv:2210.17323).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["round_rows", "squared_errors"]

_BLOCK = 128  # columns whose errors are brought to the rest at once


def round_rows(
    weight: Tensor,
    moments: Tensor,
    quantize: Callable[[Tensor, Tensor], Tensor],
    *,
    damping: float = 0.01,
    by_activation: bool = True,
) -> Tensor:
    """Rows on their grid, with small ``(w - q) H (w - q)^T``; never worse in it than the nearest numbers.

    Args:
        weight: float32 ``[rows, terms]``.
        moments: ``H``, the second moments of what the rows are multiplied by, ``[terms, terms]``.
        quantize: numbers ``[rows, n]`` of the columns ``[n]`` on their grid.
        damping: what is added to the diagonal of ``H``, as a share of its mean.
        by_activation: whether columns of large factors come first.

    Returns:
        float32 ``[rows, terms]``.

    Raises:
        ValueError: if ``H`` is not finite.

    Example:
        >>> import torch
        >>> weight = torch.tensor([[0.4, 0.4]])
        >>> both = torch.ones(2, 2)  # the two are always multiplied by the same number
        >>> round_rows(weight, both, lambda x, columns: x.round())
        tensor([[0., 1.]])
    """
    import torch

    if not bool(moments.isfinite().all()):
        raise ValueError("what the weight is multiplied by is not finite")
    nearest = quantize(weight, torch.arange(weight.shape[1]))
    unused = moments.diagonal() == 0
    hessian = moments.double()
    hessian.diagonal()[unused] = 1.0
    order = hessian.diagonal().argsort(descending=True, stable=True)
    if not by_activation:
        order = torch.arange(len(order))
    hessian = hessian[order][:, order]
    hessian.diagonal().add_(damping * hessian.diagonal().mean())
    linalg: Any = torch.linalg
    spread: Tensor = linalg.cholesky(linalg.inv(hessian), upper=True).float()
    rounded = torch.empty_like(weight)
    rounded[:, order] = _rounded(weight[:, order], spread, lambda x, columns: quantize(x, order[columns]))
    rounded[:, unused] = nearest[:, unused]
    better = squared_errors(weight, rounded, moments) < squared_errors(weight, nearest, moments)
    return torch.where(better[:, None], rounded, nearest)


def squared_errors(weight: Tensor, rounded: Tensor, moments: Tensor) -> Tensor:
    """``(w - q) H (w - q)^T`` of each row, float64 ``[rows]``: the squared error of what the row gives.

    Example:
        >>> import torch
        >>> squared_errors(torch.ones(1, 2), torch.zeros(1, 2), torch.eye(2))
        tensor([2.], dtype=torch.float64)
    """
    off = (weight - rounded).double()
    return (off @ moments.double() * off).sum(1)


def _rounded(weight: Tensor, spread: Tensor, quantize: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """All rows, column by column; ``spread`` is the upper Cholesky factor of the inverse of ``H``."""
    import torch

    rest, rounded = weight.clone(), torch.empty_like(weight)
    terms = weight.shape[1]
    for start in range(0, terms, _BLOCK):
        end = min(start + _BLOCK, terms)
        errors = torch.empty_like(rest[:, start:end])
        for i in range(start, end):
            column = rest[:, i : i + 1]
            rounded[:, i : i + 1] = quantize(column, torch.tensor([i]))
            error = (column - rounded[:, i : i + 1]) / spread[i, i]
            rest[:, i:end] -= error @ spread[i : i + 1, i:end]
            errors[:, i - start : i - start + 1] = error
        rest[:, end:] -= errors @ spread[start:end, end:]
    return rounded
