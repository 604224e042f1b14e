"""Modules that random models have beside those of torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Attention", "Block", "Do", "Plus", "settle"]


class Do(nn.Module):
    """A function with a text that says what it does."""

    def __init__(self, text: str, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.text, self.function = text, function

    def forward(self, *operands: Tensor) -> Tensor:
        return self.function(*operands)

    def __repr__(self) -> str:
        return self.text


class Block(nn.Module):
    """A residual transformer block, each norm before its half."""

    def __init__(self, size: int, heads: int, norm: type[nn.Module], act: nn.Module, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.first, self.second = norm(size), norm(size)
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))
        self.up, self.act, self.down = nn.Linear(size, 2 * size), act, nn.Linear(2 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        q, k, v = (
            f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.down(self.act(self.up(self.second(x))))


class Attention(nn.Module):
    """Attention whose products are written out."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(-2, -1) / x.shape[-1] ** 0.5
        return scores.softmax(-1) @ self.value(x)


class Plus(nn.Module):
    """A parameter added to, or multiplied with, each sample."""

    def __init__(
        self, text: str, shape: tuple[int, ...], function: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.text, self.function = text, function
        self.weight = nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)

    def __repr__(self) -> str:
        return f"{self.text} of {tuple(self.weight.shape)}"


def settle(module: nn.Module) -> None:
    """Statistics and affine weights that are not those of a new norm."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.5)  # type: ignore[union-attr]
            part.running_var.uniform_(0.3, 2)  # type: ignore[union-attr]
        if isinstance(part, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.RMSNorm):
            for weight in part.parameters():
                nn.init.uniform_(weight, -1.5, 1.5)
