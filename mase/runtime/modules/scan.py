"""The recurrence of selective state spaces, step by step."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["selective_scan"]


def selective_scan(data_in: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Run ``state = exp(step * a) * state + step * b * x`` over a sequence, with ``c . state`` for result.

    Args:
        data_in: ``[batch, channels, length]``.
        step: the sizes of the steps, as ``data_in``.
        a: the logarithms of what a unit step keeps, ``[channels, states]``.
        b: what goes in, ``[batch, states, length]``.
        c: what comes out, ``[batch, states, length]``.

    Returns:
        The result, as ``data_in``, and the last state, ``[batch, channels, states]``.

    Example:
        >>> x, one = torch.ones(1, 1, 3), torch.ones(1, 1, 3)
        >>> result, state = selective_scan(x, one, torch.zeros(1, 1), one, one)  # nothing is forgotten
        >>> result.flatten(), state.flatten()
        (tensor([1., 2., 3.]), tensor([3.]))
    """
    kept = torch.exp(a[None, :, None, :] * step[..., None])
    added = step[..., None] * b.transpose(1, 2)[:, None].float() * data_in[..., None].float()
    state = data_in.new_zeros((*data_in.shape[:2], a.shape[1]))
    results: list[Tensor] = []
    for i in range(data_in.shape[2]):
        state = kept[:, :, i] * state + added[:, :, i]
        results.append(torch.matmul(state.to(data_in.dtype), c[:, :, i, None])[..., 0])
    return torch.stack(results, -1), state
