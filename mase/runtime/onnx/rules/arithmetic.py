"""Arithmetic and shape ops on tensors."""

from __future__ import annotations

from mase.ir import Dim
from mase.ir.ops import tensor
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.site import Site

__all__ = ["binary", "concat", "flatten", "matmul", "mean", "permute", "promoted", "transpose"]

_BINARY: dict[type[tensor.Binary], str] = {
    tensor.Add: "Add",
    tensor.Sub: "Sub",
    tensor.Mul: "Mul",
    tensor.Div: "Div",
}


def promoted(site: Site, position: int) -> str:
    """An operand in the element type of the result."""
    if site.type(position).format == site.result.format:
        return site.input(position)
    return site.cast(site.input(position), site.result.format)


@to_onnx.register(*_BINARY)
def binary(op: tensor.Binary, site: Site) -> str:
    """``tensor.add``, ``tensor.sub``, ``tensor.mul`` and ``tensor.div``."""
    return site.emit(_BINARY[type(op)], promoted(site, 0), promoted(site, 1))


@to_onnx.register(tensor.MatMul)
def matmul(op: tensor.MatMul, site: Site) -> str:
    """``tensor.matmul``."""
    return site.emit("MatMul", promoted(site, 0), promoted(site, 1))


@to_onnx.register(tensor.Mean)
def mean(op: tensor.Mean, site: Site) -> str:
    """``tensor.mean``."""
    axes = None if op.dims is None else site.ints(*op.dims)
    return site.emit("ReduceMean", site.input(0), axes, keepdims=int(op.keepdim))


@to_onnx.register(tensor.Flatten)
def flatten(op: tensor.Flatten, site: Site) -> str:
    """``tensor.flatten``; Flatten itself only where it is that."""
    rank, shape = site.rank(), site.type(0).shape
    start, end = (op.start % rank, op.end % rank) if rank else (0, 0)
    if rank > 1 and start == 1 and end == rank - 1:
        return site.emit("Flatten", site.input(0), axis=1)
    target: tuple[Dim, ...] = site.result.shape
    return site.reshape(site.input(0), shape, target)


@to_onnx.register(tensor.Transpose)
def transpose(op: tensor.Transpose, site: Site) -> str:
    """``tensor.transpose``."""
    order = list(range(site.rank()))
    order[op.dim0], order[op.dim1] = order[op.dim1], order[op.dim0]
    return site.emit("Transpose", site.input(0), perm=order)


@to_onnx.register(tensor.Permute)
def permute(op: tensor.Permute, site: Site) -> str:
    """``tensor.permute``."""
    return site.emit("Transpose", site.input(0), perm=[d % site.rank() for d in op.dims])


@to_onnx.register(tensor.Concat)
def concat(op: tensor.Concat, site: Site) -> str:
    """``tensor.concat``."""
    return site.emit("Concat", *(promoted(site, i) for i in range(len(site.inputs))), axis=op.dim)
