"""The functions of a graph's nodes, for other operands than the graph gives them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from mase.ir import Expr, Graph, MaseError, Node
from mase.runtime.lower import lower
from mase.runtime.lowering.tree import Borrower

__all__ = ["Runner"]


class Runner(fx.Interpreter):
    """Runs a graph once, for zeros, and then any of its nodes for other operands.

    Args:
        graph: at level ``quantized``, with one input, a tensor.

    Raises:
        MaseError: if a size other than the batch's is not known.
    """

    @torch.no_grad()
    def __init__(self, graph: Graph) -> None:
        module = lower(graph).eval()
        super().__init__(module, garbage_collect_values=False)
        (source,) = graph.inputs
        shape = source.tensor_type.shape
        sizes = [1 if isinstance(d, Expr) else d for d in shape]
        if any(isinstance(d, Expr) for d in shape[1:]):
            raise MaseError.of(
                f"input {source.name!r} is {source.type}, and hardware has known sizes",
                help="capture the model with all sizes but the batch's fixed",
            )
        self.batch = sizes[0]
        cast(Any, super()).run(torch.zeros(sizes), enable_io_processing=False)
        self._nodes = {n.meta["mase"]: n for n in module.graph.nodes if "mase" in n.meta}

    def module_of(self, node: Node) -> nn.Module:
        """The module that a node became."""
        found = cast(fx.GraphModule, self.module).get_submodule(str(self._nodes[node.name].target))
        return found.unit if isinstance(found, Borrower) else found

    def shape(self, node: Node) -> tuple[int, ...]:
        """The sizes of a node's value, with the batch."""
        return tuple(self.env[self._nodes[node.name]].shape)

    @torch.no_grad()
    def apply(self, node: Node, operand: Tensor) -> Tensor:
        """A node's function, its first operand replaced.

        Args:
            node: the node.
            operand: takes the place of the first operand.
        """
        found = self._nodes[node.name]
        first = self._nodes[node.inputs[0].name]
        args, kwargs = self.fetch_args_kwargs_from_env(found)
        values = self.env[first]
        args = tuple(operand if a is values else a for a in args)
        kwargs = {k: operand if a is values else a for k, a in kwargs.items()}
        return getattr(self, found.op)(found.target, args, kwargs)
