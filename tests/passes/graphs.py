"""Small graphs with real weights, for the tests of passes."""

from torch import Generator, Tensor, as_tensor, no_grad, randn, stack, zeros
from torch import nn as torch_nn

from mase.ir import Graph, Node, Op, parse_type
from mase.ir.ops import conv, core, nn, norm, pool, tensor
from mase.runtime.lower import lower


def graph_input(graph: Graph, type: str, name: str = "x") -> Node:
    return graph.add(core.Input(), type=parse_type(type), name=name)


def layer(graph: Graph, op: Op, *inputs: Node, scope: str = "", **weights: Tensor) -> Node:
    """Add a node whose weights are new tensors at ``<scope>.<role>``."""
    keys = {role: f"{scope}.{role}" for role in weights}
    for role, key in keys.items():
        graph.state[key] = weights[role]
        if role.startswith(("running", "num")):
            graph.state.declare(key, graph.state.entry(key).type, "buffer")
    return graph.add(op, *inputs, params=keys, name=scope.replace(".", "_") or None, scope=scope)


def run(graph: Graph, *inputs: Tensor) -> Tensor:
    """What the graph computes in evaluation mode."""
    with no_grad():
        return lower(graph).eval()(*inputs)


def mlp(*, seed: int = 0) -> Graph:
    """Linear, ReLU, dropout, linear."""
    graph = Graph("mlp")
    x = graph_input(graph, "f32[N,4]")
    first = torch_nn.Linear(4, 8)
    second = torch_nn.Linear(8, 3)
    h = layer(graph, nn.Linear(), x, scope="fc1", weight=first.weight, bias=first.bias)
    h = graph.add(nn.Relu(), h, name="relu", scope="relu")
    h = graph.add(nn.Dropout(p=0.5), h, name="drop", scope="drop")
    y = layer(graph, nn.Linear(), h, scope="fc2", weight=second.weight, bias=second.bias)
    graph.outputs = [y]
    return graph


def net() -> Graph:
    """A network that solves toy-tiny well enough for widths to matter."""
    generator = Generator().manual_seed(1)
    graph = Graph("net")
    x = graph_input(graph, "f32[N,1,2,2]")
    x = graph.add(tensor.Flatten(), x)
    signs = as_tensor([1.0, -1.0]).repeat(4)[:, None]
    first = signs * (1 + 0.4 * randn(8, 4, generator=generator))
    second = stack([-signs[:, 0], signs[:, 0]]) * (1 + 0.4 * randn(2, 8, generator=generator))
    x = layer(graph, nn.Linear(), x, scope="fc1", weight=first, bias=zeros(8))
    x = graph.add(nn.Relu(), x, name="relu", scope="relu")
    x = layer(graph, nn.Linear(), x, scope="fc2", weight=second, bias=zeros(2))
    graph.outputs = [x]
    graph.header.data = {"source": "toy-tiny"}
    return graph


def lenet5() -> Graph:
    """LeNet-5 as published, with ReLU and max-pooling: 61,706 parameters, 416,520 multiplications."""
    graph = Graph("lenet5")
    x = graph_input(graph, "f32[N,1,32,32]")
    x = layer(graph, conv.Conv2d(), x, scope="c1", weight=randn(6, 1, 5, 5), bias=randn(6))
    x = graph.add(nn.Relu(), x)
    x = graph.add(pool.MaxPool2d(kernel=(2, 2), stride=(2, 2)), x)
    x = layer(graph, conv.Conv2d(), x, scope="c3", weight=randn(16, 6, 5, 5), bias=randn(16))
    x = graph.add(nn.Relu(), x)
    x = graph.add(pool.MaxPool2d(kernel=(2, 2), stride=(2, 2)), x)
    x = graph.add(tensor.Flatten(), x)
    for scope, out, features in (("c5", 120, 400), ("f6", 84, 120), ("f7", 10, 84)):
        x = layer(graph, nn.Linear(), x, scope=scope, weight=randn(out, features), bias=randn(out))
    graph.outputs = [x]
    return graph


def batch_norm(graph: Graph, x: Node, channels: int, scope: str, *, like: Tensor) -> Node:
    """A batch norm that has seen data: no weight, mean or variance is trivial."""
    make = like.new_empty
    return layer(
        graph,
        norm.BatchNorm(),
        x,
        scope=scope,
        weight=make(channels).uniform_(0.5, 1.5),
        bias=make(channels).normal_(),
        running_mean=make(channels).normal_(),
        running_var=make(channels).uniform_(0.5, 2.0),
    )
