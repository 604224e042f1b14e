"""Elementwise functions and softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeGuard

import torch
from torch import nn

from mase.frontends.rules.base import CallSite, Unit, from_call, from_module, is_tensor
from mase.frontends.values import format_of
from mase.ir import ops
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.types import TensorType

__all__: list[str] = []

_F = "torch.nn.functional"

# Modules and calls of one operand and no settings. `inplace` changes nothing here: capture lets what
# comes later see the result.
_PLAIN: dict[type[nn.Module], tuple[type[Op], tuple[str, ...]]] = {
    nn.Identity: (ops.nn.Identity, ()),
    nn.ReLU: (ops.nn.Relu, ("aten.relu.default", "torch.relu", "torch.Tensor.relu", f"{_F}.relu")),
    nn.ReLU6: (ops.nn.Relu6, ("aten.relu6.default", f"{_F}.relu6")),
    nn.Hardsigmoid: (ops.nn.Hardsigmoid, ("aten.hardsigmoid.default", f"{_F}.hardsigmoid")),
    nn.Hardswish: (ops.nn.Hardswish, ("aten.hardswish.default", f"{_F}.hardswish")),
    nn.SELU: (ops.nn.Selu, ("aten.selu.default", "torch.selu", f"{_F}.selu")),
    nn.SiLU: (ops.nn.Silu, ("aten.silu.default", f"{_F}.silu")),
    nn.Tanh: (ops.nn.Tanh, ("aten.tanh.default", "torch.tanh", "torch.Tensor.tanh", f"{_F}.tanh")),
    nn.Sigmoid: (
        ops.nn.Sigmoid,
        ("aten.sigmoid.default", "torch.sigmoid", "torch.Tensor.sigmoid", f"{_F}.sigmoid"),
    ),
    nn.Softsign: (ops.nn.Softsign, (f"{_F}.softsign",)),
}


def _register_plain(cls: type[nn.Module], op: type[Op], targets: tuple[str, ...]) -> None:
    @from_module.register(cls)
    def _module(module: nn.Module) -> Op:
        return op()

    @from_call.register(*targets)
    def _call(site: CallSite, input: object, inplace: bool = False) -> Unit | None:
        return Unit(op(), (input,)) if is_tensor(input) else None


for _cls, (_op, _targets) in _PLAIN.items():
    _register_plain(_cls, _op, _targets)


@from_module.register(nn.GELU)
def _gelu(module: nn.GELU) -> Op | None:
    return ops.nn.Gelu(approximate="tanh" if module.approximate == "tanh" else "none")


@from_call.register("aten.gelu.default", "torch._C._nn.gelu", f"{_F}.gelu")
def _gelu_call(
    site: CallSite, input: object, *, approximate: Literal["none", "tanh"] = "none"
) -> Unit | None:
    return Unit(ops.nn.Gelu(approximate=approximate), (input,)) if is_tensor(input) else None


@from_module.register(nn.LeakyReLU)
def _leaky_relu(module: nn.LeakyReLU) -> Op:
    return ops.nn.LeakyRelu(negative_slope=float(module.negative_slope))


@from_call.register("aten.leaky_relu.default", f"{_F}.leaky_relu")
def _leaky_relu_call(
    site: CallSite, input: object, negative_slope: float = 0.01, inplace: bool = False
) -> Unit | None:
    return (
        Unit(ops.nn.LeakyRelu(negative_slope=float(negative_slope)), (input,)) if is_tensor(input) else None
    )


@from_module.register(nn.ELU)
def _elu(module: nn.ELU) -> Op:
    return ops.nn.Elu(alpha=float(module.alpha))


@from_call.register("aten.elu.default")
def _elu_call(
    site: CallSite, input: object, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Unit | None:
    if not is_tensor(input) or (scale, input_scale) != (1, 1):
        return None
    return Unit(ops.nn.Elu(alpha=float(alpha)), (input,))


@from_module.register(nn.Hardtanh)
def _hardtanh(module: nn.Hardtanh) -> Op:
    return ops.nn.Hardtanh(min_val=float(module.min_val), max_val=float(module.max_val))


@from_call.register("aten.hardtanh.default", f"{_F}.hardtanh")
def _hardtanh_call(
    site: CallSite, input: object, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Unit | None:
    op = ops.nn.Hardtanh(min_val=float(min_val), max_val=float(max_val))
    return Unit(op, (input,)) if is_tensor(input) else None


@from_module.register(nn.Softplus)
def _softplus(module: nn.Softplus) -> Op:
    return ops.nn.Softplus(beta=float(module.beta), threshold=float(module.threshold))


@from_call.register("aten.softplus.default", "torch._C._nn.softplus")
def _softplus_call(site: CallSite, input: object, beta: float = 1, threshold: float = 20) -> Unit | None:
    op = ops.nn.Softplus(beta=float(beta), threshold=float(threshold))
    return Unit(op, (input,)) if is_tensor(input) else None


@from_module.register(nn.Softmax, nn.LogSoftmax)
def _softmax(module: nn.Softmax | nn.LogSoftmax) -> Op | None:
    if module.dim is None:
        return None  # a dimension that depends on the rank, by a rule torch has deprecated
    return (ops.nn.Softmax if isinstance(module, nn.Softmax) else ops.nn.LogSoftmax)(dim=module.dim)


def _register_softmax(name: str, make: Callable[..., Op]) -> None:
    @from_call.register(f"aten.{name}.int", f"torch.{name}", f"torch.Tensor.{name}")
    def _call(site: CallSite, input: object, dim: int, dtype: torch.dtype | None = None) -> Unit | None:
        return Unit(make(dim=dim), (input,)) if _computes_in(input, dtype) else None

    @from_call.register(f"{_F}.{name}")
    def _functional(
        site: CallSite,
        input: object,
        dim: int | None = None,
        _stacklevel: int = 3,
        dtype: torch.dtype | None = None,
    ) -> Unit | None:
        return _call(site, input, dim, dtype) if dim is not None else None


_register_softmax("softmax", ops.nn.Softmax)
_register_softmax("log_softmax", ops.nn.LogSoftmax)


def _computes_in(input: object, dtype: torch.dtype | None) -> TypeGuard[Node]:
    """Whether the operand is a tensor that is not cast on the way."""
    if not (is_tensor(input) and isinstance(input.type, TensorType)):
        return False
    return dtype is None or format_of(dtype) == input.type.format
