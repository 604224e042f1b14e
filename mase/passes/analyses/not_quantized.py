"""Why a node was left in float; `quantize` writes it, `report` shows it."""

from __future__ import annotations

from mase.ir.annotations import register_annotation

__all__ = ["NotQuantized"]


@register_annotation("not_quantized")
class NotQuantized:
    """A node that `quantize` met and left as it was.

    Args:
        reason: why, in a few words that the user can act upon.

    Example:
        >>> NotQuantized(reason="nn.dropout has no quantized form").reason
        'nn.dropout has no quantized form'
    """

    reason: str
