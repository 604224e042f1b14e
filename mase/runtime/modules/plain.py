"""Ops that torch has no module for, in float: what their quantized modules inherit from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Concat", "KVCache", "Mean", "RotaryEmbedding"]


class Mean(nn.Module):
    """The mean over some dimensions.

    Args:
        dims: the dimensions; None is all.
        keepdim: whether they stay with size 1.
    """

    def __init__(self, dims: Sequence[int] | None = None, keepdim: bool = False) -> None:
        super().__init__()
        self.dims = None if dims is None else tuple(dims)
        self.keepdim = keepdim

    def forward(self, data_in: Tensor) -> Tensor:
        return torch.mean(data_in, self.dims, self.keepdim)


class Concat(nn.Module):
    """Tensors side by side.

    Args:
        dim: the dimension that grows.
    """

    def __init__(self, dim: int = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *data_in: Tensor) -> Tensor:
        return torch.cat(data_in, self.dim)


class KVCache(nn.Module):
    """The keys or values of earlier positions and those of new ones.

    Args:
        dim: the dimension of positions.
    """

    def __init__(self, dim: int = -2) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, past: Tensor, data_in: Tensor) -> Tensor:
        return torch.cat((past, data_in), self.dim)


class RotaryEmbedding(nn.Module):
    """Rotate pairs of features by the angles whose cosines and sines are given (arXiv:2104.09864).

    Args:
        interleaved: whether a pair is two neighbours; otherwise it is an element of each half.

    Example:
        >>> x = torch.tensor([1.0, 2.0])
        >>> RotaryEmbedding()(x, torch.zeros(2), torch.ones(2))  # by a right angle
        tensor([-2.,  1.])
    """

    def __init__(self, interleaved: bool = False) -> None:
        super().__init__()
        self.interleaved = interleaved

    def forward(self, data_in: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        return data_in * cos + self._rotated(data_in) * sin

    def _rotated(self, x: Tensor) -> Tensor:
        if self.interleaved:
            return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)
        half = x.shape[-1] // 2
        return torch.cat((-x[..., half:], x[..., :half]), -1)
