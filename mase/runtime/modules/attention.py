"""Scaled dot-product attention whose dropout obeys ``.train()`` and ``.eval()``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention"]


class Attention(nn.Module):
    """``scaled_dot_product_attention`` as a module; the arguments are those of `mase.ir.ops.attention`.

    Args:
        dropout: the probability of dropping a weight in training.
        causal: whether a position attends to earlier ones only.
        scale: None is ``1/sqrt(features)``.
        grouped: whether fewer key heads serve several query heads.

    Example:
        >>> import torch
        >>> x = torch.ones(1, 2, 3, 4)
        >>> Attention(causal=True)(x, x, x).shape
        torch.Size([1, 2, 3, 4])
    """

    def __init__(
        self, dropout: float = 0.0, causal: bool = False, scale: float | None = None, grouped: bool = False
    ) -> None:
        super().__init__()
        self.dropout, self.causal, self.scale, self.grouped = dropout, causal, scale, grouped

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from ``query`` ``[..., L, E]`` to ``key`` ``[..., S, E]`` and ``value`` ``[..., S, V]``."""
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
            scale=self.scale,
            enable_gqa=self.grouped,
        )

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}, causal={self.causal}"
