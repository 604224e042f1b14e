"""Scaled dot-product attention, in float and of quantized operands; its dropout obeys the mode."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir.ops import attention
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic

__all__ = ["Attention", "QuantizedAttention"]


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


@arithmetic(attention.Attention, Attention)
class QuantizedAttention(QuantizedModule):
    """Attention of quantized queries, keys and values.

    With a format for ``probs``, the weights are quantized before they multiply the values, and the
    steps are computed one by one; without, they stay inside of torch's own function.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """The result for operands shaped as for `Attention`."""
        compute = super().forward if self.formats["probs"] is None else self._steps
        operands = {"query": query, "key": key, "value": value}
        return self.evaluate(None, partial(compute, mask=mask), operands)

    def _steps(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        own = cast(Any, self)
        if own.grouped:
            shared = query.shape[-3] // key.shape[-3]
            key, value = (t.repeat_interleave(shared, -3) for t in (key, value))
        scale = 1 / math.sqrt(query.shape[-1]) if own.scale is None else own.scale
        scores = query @ key.transpose(-2, -1) * scale
        if own.causal:
            earlier = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~earlier, -torch.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
        # Who attends to nothing gets nothing, as in torch's function.
        nothing = (scores == -torch.inf).all(-1, keepdim=True)
        probs = self.quantized("probs", scores.softmax(-1).masked_fill(nothing, 0.0))
        return F.dropout(probs, own.dropout, self.training) @ value
