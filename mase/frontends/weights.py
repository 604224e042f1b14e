"""A model's parameters and buffers as a graph's state, under the model's own names."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch._subclasses import FakeTensor

from mase.frontends.internals import own_buffers, own_parameters, submodules, transient_buffers
from mase.frontends.values import tensor_type
from mase.ir.graph import Graph
from mase.ir.state import Kind, State

__all__ = ["add_constant", "declare_weights"]


def declare_weights(state: State, model: nn.Module) -> None:
    """Declare every parameter and buffer of ``model``, used by its graph or not.

    The state shares the tensors. Those on the meta device are declared without a value, and a tensor
    under several names is held under the first.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 2, bias=False), nn.BatchNorm1d(2, affine=False))
        >>> state = State()
        >>> declare_weights(state, model)
        >>> [f"{key}: {entry}" for key, entry in state.entries().items()][:2]
        ['0.weight: f32[2,4]', '1.running_mean: buffer f32[2]']
    """
    first: dict[int, str] = {}
    for key, tensor, kind in _tensors(model):
        if id(tensor) in first:
            if key not in state:
                state.alias(key, first[id(tensor)])
            continue
        first[id(tensor)] = key
        _put(state, key, tensor, kind)


def add_constant(graph: Graph, wish: str, tensor: torch.Tensor) -> str:
    """Hold a tensor that the trace found outside parameters and buffers; returns its key."""
    key, i = wish, 0
    while key in graph.state:
        i += 1
        key = f"{wish}_{i}"
    _put(graph.state, key, tensor, "constant")
    return key


def _put(state: State, key: str, tensor: torch.Tensor, kind: Kind) -> None:
    state.declare(key, tensor_type(tensor), kind)
    if tensor.is_meta and not tensor.numel():
        tensor = torch.empty_like(tensor, device="cpu")  # the cache before its first position
    if not tensor.is_meta and not isinstance(tensor, FakeTensor):
        state[key] = tensor


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor, Kind]]:
    """Every name of every parameter and buffer, in the order of ``state_dict``."""
    for path, module in submodules(model, every_name=True):
        prefix = f"{path}." if path else ""
        for name, parameter in own_parameters(module).items():
            yield prefix + name, parameter, "parameter" if parameter.requires_grad else "frozen"
        transient = transient_buffers(module)
        for name, buffer in own_buffers(module).items():
            yield prefix + name, buffer, "constant" if name in transient else "buffer"
