"""Activations, computed in float from a quantized operand; and relu, which is exact."""

from __future__ import annotations

from torch import nn

from mase.ir import Op
from mase.ir.ops import nn as nn_ops
from mase.runtime.modules.elementwise import Unary
from mase.runtime.modules.factory import arithmetic

__all__ = ["Activation", "Relu"]

_MODULES: dict[type[Op], type[nn.Module]] = {
    nn_ops.Relu6: nn.ReLU6,
    nn_ops.LeakyRelu: nn.LeakyReLU,
    nn_ops.Elu: nn.ELU,
    nn_ops.Selu: nn.SELU,
    nn_ops.Hardtanh: nn.Hardtanh,
    nn_ops.Hardsigmoid: nn.Hardsigmoid,
    nn_ops.Hardswish: nn.Hardswish,
    nn_ops.Gelu: nn.GELU,
    nn_ops.Silu: nn.SiLU,
    nn_ops.Tanh: nn.Tanh,
    nn_ops.Sigmoid: nn.Sigmoid,
    nn_ops.Softplus: nn.Softplus,
    nn_ops.Softsign: nn.Softsign,
    nn_ops.Softmax: nn.Softmax,
    nn_ops.LogSoftmax: nn.LogSoftmax,
}


@arithmetic(nn_ops.Relu, nn.ReLU)
class Relu(Unary):
    """``max(x, 0)``."""


class Activation(Unary):
    """A function whose results are no numbers of its operand's format."""

    exact = False


for _op, _module in _MODULES.items():
    arithmetic(_op, _module)(Activation)
