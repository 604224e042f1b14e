"""What a weight is multiplied by, as second moments: the Hessian of a layer's squared error, by halves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from mase.ir.graph import Node
from mase.ir.ops.conv import Conv
from mase.ir.ops.nn import Linear
from mase.ir.ops.quantized import float_op

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["factors", "second_moments"]


def second_moments(node: Node, operands: Iterable[Tensor]) -> Tensor:
    """The sum of ``x x^T`` over all ``x`` that the rows of a layer's weight are multiplied by.

    Args:
        node: a linear layer or a convolution.
        operands: what it is given, as it quantizes that.

    Returns:
        float32 ``[groups, terms, terms]``.
    """
    import torch

    found: Tensor | None = None
    for x in operands:
        rows = factors(node, x.float())
        sums = torch.einsum("ngi,ngj->gij", rows, rows)
        found = sums if found is None else found.add_(sums)
    assert found is not None
    return found


def factors(node: Node, x: Tensor) -> Tensor:
    """What each row of a layer's weight is multiplied by, ``[positions, groups, terms]``.

    Args:
        node: a linear layer or a convolution.
        x: its operand.

    Example:
        >>> import torch
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops.core import Input
        >>> graph = Graph()
        >>> x = graph.add(Input(), type=parse_type("f32[N,3]"), name="x")
        >>> graph.state["weight"] = torch.zeros(2, 3)
        >>> node = graph.add(Linear(), x, params={"weight": "weight"})
        >>> factors(node, torch.zeros(5, 7, 3)).shape
        torch.Size([35, 1, 3])
    """
    import torch.nn.functional as F

    op = float_op(node.op)
    if isinstance(op, Linear):
        return x.reshape(-1, 1, x.shape[-1])
    assert isinstance(op, Conv)
    kernel = node.graph.state[node.params["weight"]].shape[2:]
    x = x if x.dim() == op.spatial + 2 else x.unsqueeze(0)
    ends = [end for pair in reversed(op.padding) for end in pair]
    x = F.pad(x, ends, mode="constant" if op.padding_mode == "zeros" else op.padding_mode)
    for i, size in enumerate(kernel):
        reach = op.dilation[i] * (size - 1) + 1
        x = cast(Any, x).unfold(2 + i, reach, op.stride[i])[..., :: op.dilation[i]]
    x = x.movedim(1, 1 + op.spatial)  # [N, *positions, channels, *kernel]
    return x.reshape(-1, op.groups, x.shape[1 + op.spatial] // op.groups * kernel.numel())
