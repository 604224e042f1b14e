"""Graphs written by hand that the lowering tests share."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mase.ir import Graph, Node, parse_format, parse_type
from mase.ir.ops import core
from mase.ir.ops import torch as torch_ops
from mase.ir.template import Template
from mase.runtime.lower import lower


def graph_of(**weights: Tensor) -> tuple[Graph, Node]:
    """A graph with weights (``__`` for the dot) and one input ``x: f32[N,4]``."""
    graph = Graph()
    for key, value in weights.items():
        graph.state[key.replace("__", ".")] = value
    return graph, graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")


def call(
    graph: Graph, target: str, args: str, *inputs: Node, kwargs: str = "{}", type: str = "f32[N,4]"
) -> Node:
    op = torch_ops.Call(
        target=target, args=Template.parse(args), kwargs=Template.parse(kwargs), returns=parse_type(type)
    )
    return graph.add(op, *inputs)


def run(graph: Graph, *args: Any, outputs: list[Node], training: bool = False) -> Any:
    graph.outputs = outputs
    return lower(graph).train(training)(*args)


def fixed(op: type[Any], **attributes: Any) -> Any:
    """An op all of whose operands are 16 bits wide, 8 of them fractional."""
    return op(**attributes, **dict.fromkeys(op.roles, parse_format("fixed<16,8>")))
