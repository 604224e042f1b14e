"""Lowering of arithmetic and shape ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mase.ir import Hole
from mase.ir.ops import tensor
from mase.runtime.lowering.registry import Function, Source, to_arguments, to_module

__all__ = ["binary", "concat", "flatten", "mean", "no_arguments", "own_attributes", "permute", "transpose"]

_BINARY: dict[type[Any], Callable[..., Any]] = {
    tensor.Add: torch.add,
    tensor.Sub: torch.sub,
    tensor.Mul: torch.mul,
    tensor.Div: torch.div,
    tensor.MatMul: torch.matmul,
}


@to_module.register(*_BINARY)
def binary(op: tensor.Binary | tensor.MatMul, source: Source) -> Function:
    """``tensor.add``, ``tensor.sub``, ``tensor.mul``, ``tensor.div`` and ``tensor.matmul``."""
    return Function(_BINARY[type(op)])


@to_arguments.register(*_BINARY)
def no_arguments(op: tensor.Binary | tensor.MatMul, source: Source) -> dict[str, Any]:
    """Arithmetic is no torch module, so there is nothing to tell one."""
    return {}


@to_module.register(tensor.Flatten)
def flatten(op: tensor.Flatten, source: Source) -> Function:
    """``tensor.flatten``."""
    return Function(torch.flatten, (Hole(0), op.start, op.end))


@to_module.register(tensor.Transpose)
def transpose(op: tensor.Transpose, source: Source) -> Function:
    """``tensor.transpose``."""
    return Function(torch.transpose, (Hole(0), op.dim0, op.dim1))


@to_module.register(tensor.Permute)
def permute(op: tensor.Permute, source: Source) -> Function:
    """``tensor.permute``."""
    return Function(torch.permute, (Hole(0), op.dims))


@to_module.register(tensor.Concat)
def concat(op: tensor.Concat, source: Source) -> Function:
    """``tensor.concat``."""
    return Function(torch.cat, ([Hole(i) for i in range(len(source.node.inputs))], op.dim))


@to_module.register(tensor.Mean)
def mean(op: tensor.Mean, source: Source) -> Function:
    """``tensor.mean``."""
    return Function(torch.mean, (Hole(0), op.dims, op.keepdim))


@to_arguments.register(tensor.Mean, tensor.Concat)
def own_attributes(op: tensor.Mean | tensor.Concat, source: Source) -> dict[str, Any]:
    """The quantized modules have arguments called as the op's attributes."""
    return op.attributes()
