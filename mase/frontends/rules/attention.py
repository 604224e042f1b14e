"""Scaled dot-product attention."""

from __future__ import annotations

from mase.frontends.rules.base import CallSite, Unit, from_call, is_tensor
from mase.ir import ops
from mase.ir.graph import Node

__all__: list[str] = []


@from_call.register("aten.scaled_dot_product_attention.default", "torch._C._nn.scaled_dot_product_attention")
def _attention(
    site: CallSite,
    query: object,
    key: object,
    value: object,
    attn_mask: object = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Unit | None:
    operands: list[Node] = [v for v in (query, key, value, attn_mask) if is_tensor(v)]
    absent = 1 if attn_mask is None else 0
    # A trace in eval mode that still drops does so in either mode, as the op does not.
    always_drops = dropout_p and site.mode == "eval"
    if len(operands) + absent != 4 or always_drops or isinstance(scale, Node):
        return None
    op = ops.attention.Attention(
        dropout=float(dropout_p),
        causal=bool(is_causal),
        scale=None if scale is None else float(scale),
        grouped=bool(enable_gqa),
    )
    return Unit(op, tuple(operands))
