"""Scales that the graph has in its state, for what would otherwise take one from its own numbers."""

from __future__ import annotations

from torch import Tensor

from mase.ir import Node
from mase.runtime.kernels import Scale
from mase.runtime.kernels.integer import LEAST_SCALE

__all__ = ["given_scale", "positive"]


def positive(scale: Tensor) -> Tensor:
    """A scale as quantizers take it, float32: an optimizer may step beyond 0, where no scale is.

    Example:
        >>> import torch
        >>> positive(torch.tensor([0.5, -0.5]))
        tensor([0.5000, 0.5000])
    """
    return scale.detach().abs().clamp_min(LEAST_SCALE).float()


def given_scale(node: Node, role: str) -> Scale | None:
    """The scale and the zero point of an operand or a weight in ``int<W>``; None if the node has none.

    Args:
        node: a quantized node.
        role: which of its operands and weights.
    """
    key, zero = (node.params.get(f"{role}_{what}") for what in ("scale", "zero_point"))
    state = node.graph.state
    return None if key is None else Scale(positive(state[key]), None if zero is None else state[zero])
