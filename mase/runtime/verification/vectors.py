"""Inputs on which every rounding is decided: half of them lie exactly between two codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch

from mase.ir import Dtype, Expr, Fixed, Graph, MaseError, Node, TensorType
from mase.ir.dim import size_of
from mase.ir.formats import Integer
from mase.ir.formats.code import Code
from mase.ir.ops import nn
from mase.ir.ops.exact import Embedding, Quantize
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp, float_op

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["vectors_for"]

_BEYOND = 1.25  # how far vectors leave a format's range, so that saturation is decided too
_SMALL = 3  # halves of a step: where 2 bits have but four codes, what is nearer to 0 is all the same
_LENGTH = 8


def vectors_for(graph: Graph, samples: int, seed: int = 0) -> dict[str, Tensor]:
    """A tensor for each input of a graph.

    Numbers that are quantized are multiples of half of the last bit of their format, beyond its ends too;
    indices are rows that their table has; masks are ones with zeros at the end.

    Args:
        graph: a graph of any level.
        samples: the size of the first symbolic dimension, the batch; others get small sizes.
        seed: what the choice depends on.

    Raises:
        MaseError: if an input is no tensor.

    Example:
        >>> from mase.ir import parse_format, parse_type
        >>> from mase.ir.ops import core, integer
        >>> graph = Graph(level="quantized")
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,3]"), name="x")
        >>> y = graph.add(integer.ReluInteger(data_in=parse_format("fixed<4,1>")), x)
        >>> found = vectors_for(graph, 100)["x"]
        >>> found.shape, bool((found * 4).frac().any())
        (torch.Size([100, 3]), False)
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = _sizes(graph, samples)
    return {node.name: _vector(node, sizes, generator) for node in graph.inputs}


def _sizes(graph: Graph, samples: int) -> dict[str, int]:
    names: dict[str, None] = {}
    for node in graph.inputs:
        if isinstance(node.type, TensorType):
            names |= {s: None for d in node.type.shape if isinstance(d, Expr) for s in sorted(d.symbols)}
    return {name: samples if i == 0 else _LENGTH + i - 1 for i, name in enumerate(names)}


def _vector(node: Node, sizes: Mapping[str, int], generator: torch.Generator) -> Tensor:
    if not isinstance(node.type, TensorType):
        raise MaseError.of(f"input {node.name!r} is {node.type}, and vectors are tensors")
    shape = [size_of(d, sizes) for d in node.type.shape]
    format = node.type.format
    if isinstance(format, Code):
        return torch.randint(format.code_min, format.code_max + 1, shape, generator=generator)
    if isinstance(format, Dtype) and not format.is_float:
        return _integers(node, shape, format, generator)
    found = list(_grids(node))
    if not found:
        return torch.randn(shape, generator=generator)
    return _ties(shape, *found[0], generator)


def _ties(shape: list[int], step: float, low: int, high: int, generator: torch.Generator) -> Tensor:
    ends = int(2 * low * _BEYOND) - 2, int(2 * high * _BEYOND) + 2
    halves = torch.randint(ends[0], ends[1] + 1, shape, generator=generator)
    # Small numbers too: where all are large, everything saturates after a layer or two.
    low, high = max(min(ends[0] // 8, -_SMALL), ends[0]), max(ends[1] // 8 + 1, _SMALL)
    small = torch.randint(low, high + 1, shape, generator=generator)
    rows = torch.rand(shape[:1] + [1] * (len(shape) - 1), generator=generator) < 0.5 if shape else False
    return torch.where(torch.as_tensor(rows), halves, small).double().mul(step / 2).float()


def _grids(node: Node) -> Iterator[tuple[float, int, int]]:
    """The quantizers that a value meets: the step and the ends of their codes."""
    for user in node.users:
        if isinstance(user.op, Quantize):
            yield from _grid(user, user.op.format, "scale")
        elif isinstance(user.op, QuantizedOp):
            for role in user.roles_of(node):
                yield from _grid(user, user.op.formats.get(role), f"{role}_scale")
        elif keeps_values(user.op):
            yield from _grids(user)


def _grid(node: Node, format: object, scale: str) -> Iterator[tuple[float, int, int]]:
    if isinstance(format, Fixed):
        yield format.step, format.code_min, format.code_max
    elif isinstance(format, Integer) and scale in node.params:
        step = float(node.graph.state[node.params[scale]].max())
        zero = (format.code_max + 1) // 2 if format.asym else 0
        yield step, format.code_min - zero, format.code_max - zero


def _integers(node: Node, shape: list[int], format: Dtype, generator: torch.Generator) -> Tensor:
    rows = _rows(node)
    if rows:
        return torch.randint(rows, shape, generator=generator)
    ones = torch.ones(shape, dtype=torch.int64)
    if len(shape) > 1 and shape[-1] > 2:
        ones[::2, -2:] = 0
    return ones.bool() if format.name == "bool" else ones


def _rows(node: Node) -> int:
    """How many rows the table has that a value is an index of; 0 if there is none."""
    for user in node.users:
        if isinstance(float_op(user.op), nn.Embedding | Embedding):
            return int(user.graph.state[user.params["weight"]].shape[0])
        if keeps_values(user.op) and (found := _rows(user)):
            return found
    return 0
