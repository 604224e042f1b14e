"""Executing two graphs on the same random inputs, to see whether they compute the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mase.ir.dim import Expr
from mase.ir.graph import Graph, Node
from mase.ir.types import TensorType
from mase.passes.context import Context

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["compare_graphs"]

_SIZE = 3  # of every symbolic dimension
_TOLERANCE = 1e-4  # of the largest magnitude: float32 sums in another order


def compare_graphs(before: Graph, after: Graph) -> str | None:
    """Say how the results of two graphs differ in evaluation mode.

    Args:
        before: a graph whose inputs are tensors.
        after: a graph of the same inputs.

    Returns:
        None if they agree to within rounding.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = {node.name: _random(node, generator) for node in before.inputs}
    with torch.no_grad():
        old, new = (_tensors(Context(g).lower(g).eval()(**inputs)) for g in (before, after))
    for i, (a, b) in enumerate(zip(old, new, strict=True)):
        scale = max(float(a.abs().max()), 1e-6) if a.numel() else 1.0
        error = float((a.double() - b.double()).abs().max()) / scale if a.numel() else 0.0
        if not error <= _TOLERANCE:
            return f"output {i} differs by {error:.2g} of its largest value"
    return None


def _random(node: Node, generator: Any) -> Tensor:
    import torch

    kind: TensorType = node.tensor_type
    shape = [_SIZE if isinstance(d, Expr) else d for d in kind.shape]
    dtype = getattr(torch, getattr(kind.format, "torch_name", "float32"))
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def _tensors(value: Any) -> list[Tensor]:
    from torch.utils import _pytree

    return _pytree.tree_leaves(value)
