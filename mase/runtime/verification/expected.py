"""What a graph itself computes, node by node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn

from mase.ir import Graph, Node
from mase.runtime.lower import lower
from mase.runtime.lowering.structure import arranged
from mase.runtime.verification.engine import Arrays

__all__ = ["Expected", "expected_values"]


@dataclass(frozen=True)
class Expected:
    """The values of a graph for some inputs.

    Args:
        outputs: by the name of the node.
        values: of every node that is a tensor, in order.
    """

    outputs: Arrays
    values: Arrays


@torch.no_grad()
def expected_values(
    graph: Graph, inputs: Mapping[str, Tensor], source_model: nn.Module | None = None
) -> Expected:
    """Run the lowered graph in evaluation mode and keep the value of every node.

    Args:
        graph: a graph of any level.
        inputs: a tensor for each input by the name of its node.
        source_model: the user's model, needed only where the graph holds opaque modules.
    """
    module = lower(graph, source_model=source_model).eval()
    values: Arrays = {}

    class Keeping(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = cast(Any, super()).run_node(n)
            if isinstance(result, Tensor) and n.op != "placeholder" and "mase" in n.meta:
                values[n.meta["mase"]] = _array(result)
            return result

    arguments = arranged(graph, inputs)
    names = [str(n.target) for n in module.graph.nodes if n.op == "placeholder"]
    cast(Any, Keeping(module)).run(*(arguments[name] for name in names), enable_io_processing=False)
    outputs = {node.name: _output(node, values, inputs) for node in graph.outputs}
    return Expected(outputs, values)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _output(node: Node, values: Arrays, inputs: Mapping[str, Tensor]) -> np.ndarray:
    return values[node.name] if node.name in values else _array(inputs[node.name])
