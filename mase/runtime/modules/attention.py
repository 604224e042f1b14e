"""Scaled dot-product attention, in float and of quantized operands; its dropout obeys the mode."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir import Fixed, MaseError
from mase.ir.ops import attention, exact
from mase.runtime.exact import execute
from mase.runtime.exact.products import exact_product
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.codes import centred, codes_of, computes_integers, fixed, numbers, real, where_nan
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
    steps are computed one by one; without, they stay inside of torch's own function. By tables the scores
    are exact sums of products, whose scale the softmax takes in, and the result is one again; a mask of
    floats is quantized and added, and its format's least number leaves a position out.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """The result for operands shaped as for `Attention`."""
        if computes_integers(self, query):
            return self._integers(query, key, value, mask)
        compute = super().forward if self.formats["probs"] is None else self._steps
        operands = {"query": query, "key": key, "value": value}
        if mask is None or mask.dtype is torch.bool:
            return self.evaluate(None, partial(compute, mask=mask), operands)
        return self.evaluate(None, compute, {**operands, "mask": mask})

    def _integers(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        key, value = self._shared(query, key, value)
        operands = {"query": query, "key": key, "value": value}
        q, k, v = (centred(self, role, x) for role, x in operands.items())
        steps = {role: numbers(self, role).step for role in operands}
        weights = fixed(self, "probs")
        step = steps["query"] * steps["key"] * Fraction(self._scale(query))
        added = None if mask is None or mask.dtype is torch.bool else self._format_of_mask()
        op = exact.Softmax.of(step, weights, causal=cast(Any, self).causal, mask=added)
        scores = exact_product(q, k.transpose(-2, -1), q.shape[-1], torch.matmul)
        masks = () if mask is None else (mask if added is None else codes_of(mask, added),)
        probs = execute(op, scores, *masks)
        result = exact_product(probs, v, v.shape[-2], torch.matmul)
        unknown = (key.isnan() | value.isnan()).any((-2, -1), keepdim=True)  # to whoever may attend to it
        if mask is not None:
            unknown = unknown | mask.isnan().any(-1, keepdim=True)
        found = real(self, result, Fraction(weights.step) * steps["value"], 2**53, query).masked_fill(
            unknown, torch.nan
        )
        return where_nan(query, found, (-1,))

    def _format_of_mask(self) -> Fixed:
        """The format of a mask that is added, whose least number leaves a position out."""
        format = self.formats["mask"]
        if not isinstance(format, Fixed):
            raise MaseError.of(
                "attention by tables adds a mask of floats only in fixed<W,F>",
                help="give it a format, mask = fixed<16,8>, or say which positions to keep: mask > threshold",
            )
        return format

    def _scale(self, query: Tensor) -> float:
        scale = cast(Any, self).scale
        return 1 / math.sqrt(query.shape[-1]) if scale is None else scale

    def _shared(self, query: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Keys and values, each for as many query heads as it serves."""
        if not cast(Any, self).grouped:
            return tensors
        return tuple(t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in tensors)

    def _steps(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        own = cast(Any, self)
        key, value = self._shared(query, key, value)
        scores = query @ key.transpose(-2, -1) * self._scale(query)
        if own.causal:
            earlier = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~earlier, -torch.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
            least = self.formats["mask"]
            if least is not None and mask.dtype is not torch.bool:
                scores = scores.masked_fill(mask <= least.min, -torch.inf)
        # Who attends to nothing gets nothing, as in torch's function.
        nothing = (scores == -torch.inf).all(-1, keepdim=True)
        probs = self.quantized("probs", scores.softmax(-1).masked_fill(nothing, 0.0))
        return F.dropout(probs, own.dropout, self.training) @ value
