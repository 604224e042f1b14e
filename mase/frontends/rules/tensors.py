"""Arithmetic and shape calls on tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mase.frontends.rules.base import CallSite, Unit, from_call, from_module, is_tensor
from mase.frontends.values import format_of
from mase.ir import ops
from mase.ir.formats import Dtype
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.types import TensorType

__all__: list[str] = []


def _binary(op: type[Op], left: object, right: object, alpha: object = 1) -> Unit | None:
    """Two tensors only: a number beside a tensor has no operand to live in."""
    return Unit(op(), (left, right)) if is_tensor(left) and is_tensor(right) and alpha == 1 else None


@from_call.register("aten.add.Tensor", "torch.add", "operator.add", "torch.Tensor.add")
def _add(site: CallSite, input: object, other: object, *, alpha: object = 1) -> Unit | None:
    return _binary(ops.tensor.Add, input, other, alpha)


@from_call.register("aten.sub.Tensor", "torch.sub", "operator.sub", "torch.Tensor.sub")
def _sub(site: CallSite, input: object, other: object, *, alpha: object = 1) -> Unit | None:
    return _binary(ops.tensor.Sub, input, other, alpha)


@from_call.register("aten.mul.Tensor", "torch.mul", "operator.mul", "torch.Tensor.mul")
def _mul(site: CallSite, input: object, other: object) -> Unit | None:
    return _binary(ops.tensor.Mul, input, other)


@from_call.register(
    "aten.div.Tensor", "torch.div", "torch.true_divide", "operator.truediv", "torch.Tensor.div"
)
def _div(site: CallSite, input: object, other: object) -> Unit | None:
    return _binary(ops.tensor.Div, input, other) if _is_float(input) and _is_float(other) else None


@from_call.register("aten.mean.default", "aten.mean.dim", "torch.mean", "torch.Tensor.mean")
def _mean(
    site: CallSite,
    input: object,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Unit | None:
    if not is_tensor(input) or not _is_float(input) or not (dtype is None or _has_type(input, dtype)):
        return None
    dims = (dim,) if isinstance(dim, int) else tuple(dim or ())
    return Unit(ops.tensor.Mean(dims=dims or None, keepdim=keepdim), (input,))


@from_call.register(
    "aten.matmul.default", "aten.bmm.default", "aten.mm.default",
    "torch.matmul", "torch.bmm", "torch.mm", "operator.matmul",
    "torch.Tensor.matmul", "torch.Tensor.bmm", "torch.Tensor.mm",
)  # fmt: skip
def _matmul(site: CallSite, input: object, other: object) -> Unit | None:
    return _binary(ops.tensor.MatMul, input, other)


@from_module.register(nn.Flatten)
def _flatten_module(module: nn.Flatten) -> Op:
    return ops.tensor.Flatten(start=module.start_dim, end=module.end_dim)


@from_call.register("aten.flatten.using_ints", "torch.flatten", "torch.Tensor.flatten")
def _flatten(site: CallSite, input: object, start_dim: int = 0, end_dim: int = -1) -> Unit | None:
    return Unit(ops.tensor.Flatten(start=start_dim, end=end_dim), (input,)) if is_tensor(input) else None


@from_call.register("aten.transpose.int", "torch.transpose", "torch.Tensor.transpose")
def _transpose(site: CallSite, input: object, dim0: int, dim1: int) -> Unit | None:
    return Unit(ops.tensor.Transpose(dim0=dim0, dim1=dim1), (input,)) if is_tensor(input) else None


@from_call.register("aten.t.default", "torch.t", "torch.Tensor.t")
def _t(site: CallSite, input: object) -> Unit | None:
    return _transpose(site, input, 0, 1) if _rank(input) == 2 else None


@from_call.register("aten.mT.default", "aten.adjoint.default")
def _matrix_transpose(site: CallSite, input: object) -> Unit | None:
    return _transpose(site, input, -2, -1) if _is_float(input) else None


@from_call.register("aten.numpy_T.default")
def _reversed(site: CallSite, input: object) -> Unit | None:
    if not is_tensor(input) or not isinstance(input.type, TensorType):
        return None
    return Unit(ops.tensor.Permute(dims=tuple(range(input.type.rank))[::-1]), (input,))


@from_call.register("aten.permute.default", "torch.permute", "torch.Tensor.permute")
def _permute(site: CallSite, input: object, *dims: Any) -> Unit | None:
    order: Any = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return Unit(ops.tensor.Permute(dims=tuple(order)), (input,)) if is_tensor(input) else None


@from_call.register("aten.cat.default", "torch.cat", "torch.concat")
def _concat(site: CallSite, tensors: Any, dim: int = 0) -> Unit | None:
    given: list[object] = list(tensors) if isinstance(tensors, list | tuple) else []  # pyright: ignore[reportUnknownArgumentType]
    parts = [t for t in given if is_tensor(t)]
    if not parts or len(parts) != len(given):
        return None
    same_format = len({str(p.type.format) for p in parts if isinstance(p.type, TensorType)}) == 1
    # torch skips empty vectors of any rank, the op does not
    same_rank = len({_rank(p) for p in parts}) == 1 and _rank(parts[0]) != 0
    return Unit(ops.tensor.Concat(dim=dim), tuple(parts)) if same_format and same_rank else None


def _is_float(value: object) -> bool:
    """Whether a value is a tensor of real floating-point numbers."""
    format = value.type.format if is_tensor(value) and isinstance(value.type, TensorType) else None
    return isinstance(format, Dtype) and format.is_float


def _has_type(value: Node, dtype: torch.dtype) -> bool:
    return isinstance(value.type, TensorType) and value.type.format == format_of(dtype)


def _rank(value: object) -> int | None:
    return value.type.rank if is_tensor(value) and isinstance(value.type, TensorType) else None
