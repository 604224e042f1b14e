"""``remove-dropout``: drop what only training needs."""

from __future__ import annotations

from dataclasses import replace

from mase.ir.graph import Node
from mase.ir.ops.attention import Attention
from mase.ir.ops.nn import Dropout
from mase.passes.registry import register_pass
from mase.passes.rewriter import Rewriter, rewrite

__all__ = ["RemoveDropout"]


@register_pass("remove-dropout")
class RemoveDropout:
    """Remove every dropout, also that of attention weights; evaluation computes the same numbers.

    Run it on a graph that will not be trained any more, so that later passes see each layer next to
    the one it feeds.
    """

    @rewrite(Dropout)
    def remove(self, node: Node, rewriter: Rewriter) -> None:
        """The operand takes the place of the dropout."""
        rewriter.forward(node, node.inputs[0])
        rewriter.ctx.stat("removed")

    @rewrite(Attention)
    def quiet(self, node: Node, rewriter: Rewriter) -> None:
        """Attention keeps all its weights."""
        if isinstance(node.op, Attention) and node.op.dropout:
            rewriter.replace(node, replace(node.op, dropout=0.0))
            rewriter.ctx.stat("attention quieted")
