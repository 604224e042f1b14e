"""Stochastic depth: in training, whole residual branches drop out."""

from __future__ import annotations

from typing import Literal

from mase.ir.op import Op, register_op
from mase.ir.ops.shapes import tensor
from mase.ir.types import TensorType, Type

__all__ = ["DropPath"]


@register_op("nn.drop_path")
class DropPath(Op):
    """Zero samples with probability ``p`` in training (arXiv:1603.09382), scale the rest by ``1/(1-p)``.

    Args:
        p: the probability.
        whole: whether the samples of a batch drop out together.
        scaled: whether the rest is scaled.
        draw: how torch draws the samples that stay, which decides the random numbers of a seed:
            ``bernoulli_(1-p)``, or ``floor(rand() + 1-p)``.
    """

    p: float
    whole: bool = False
    scaled: bool = True
    draw: Literal["bernoulli", "floor"] = "bernoulli"

    def infer(self, data_in: TensorType) -> Type:
        return tensor(data_in, "data_in")
