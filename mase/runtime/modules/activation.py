"""Activations, computed from a quantized operand in float or by tables; and relu, which is exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

from torch import Tensor, nn

from mase.ir import Op
from mase.ir.ops import exact
from mase.ir.ops import nn as nn_ops
from mase.runtime.exact import execute
from mase.runtime.exact.piecewise import piecewise_of
from mase.runtime.exact.tables import WIDEST_TABLE, look_up, table_of
from mase.runtime.modules.codes import centred, computes_integers, fixed, numbers, real, where_nan
from mase.runtime.modules.elementwise import Unary
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.scaled import precise

__all__ = ["Activation", "Clamp", "Relu", "Softmax"]

_MODULES: dict[type[Op], type[nn.Module]] = {
    nn_ops.LeakyRelu: nn.LeakyReLU,
    nn_ops.Elu: nn.ELU,
    nn_ops.Selu: nn.SELU,
    nn_ops.Hardsigmoid: nn.Hardsigmoid,
    nn_ops.Hardswish: nn.Hardswish,
    nn_ops.Gelu: nn.GELU,
    nn_ops.Silu: nn.SiLU,
    nn_ops.Tanh: nn.Tanh,
    nn_ops.Sigmoid: nn.Sigmoid,
    nn_ops.Softplus: nn.Softplus,
    nn_ops.Softsign: nn.Softsign,
    nn_ops.LogSoftmax: nn.LogSoftmax,
}


@arithmetic(nn_ops.Relu, nn.ReLU)
class Relu(Unary):
    """``max(x, 0)``."""


class Activation(Unary):
    """A function whose results are no numbers of its operand's format."""

    exact = False

    def forward(self, input: Tensor) -> Tensor:
        """The result for one tensor."""
        if not computes_integers(self, input):
            return super().forward(input)
        out = fixed(self, "data_out")
        found = self.integers(centred(self, "data_in", input))
        return where_nan(input, real(self, found, Fraction(out.step), 2**out.width, input), self.rows())

    def integers(self, codes: Tensor) -> Tensor:
        """The result's codes for those of the operand, less their zero point."""
        source, out = numbers(self, "data_in"), fixed(self, "data_out")
        op = self.mase_op.float_op
        if source.width <= WIDEST_TABLE:
            return look_up(codes, table_of(op, source, out).to(codes.device), source.first)
        lines, roles = piecewise_of(op, source, out)
        return execute(lines, codes, **{role: tensor.to(codes.device) for role, tensor in roles.items()})

    def rows(self) -> tuple[int, ...]:
        """The dimensions whose numbers decide together."""
        return ()


@arithmetic(nn_ops.Softmax, nn.Softmax)
class Softmax(Activation):
    """Weights that sum to one along ``dim``."""

    def integers(self, codes: Tensor) -> Tensor:
        op = exact.Softmax.of(numbers(self, "data_in").step, fixed(self, "data_out"), dim=self.rows()[0])
        return execute(op, codes)

    def rows(self) -> tuple[int, ...]:
        return (cast(Any, self).dim,)


class Clamp(Activation):
    """A clamp, whose ends come onto the operand's grid where codes are clamped."""

    def compute(self, x: Tensor) -> Tensor:
        result = super().compute(x)
        return precise(self, "data_in", result) if self.precise else result


_MODULES_OF_CLAMPS: dict[type[Op], type[nn.Module]] = {
    nn_ops.Relu6: nn.ReLU6,
    nn_ops.Hardtanh: nn.Hardtanh,
}
for _op, _module in _MODULES_OF_CLAMPS.items():
    arithmetic(_op, _module)(Clamp)
for _op, _module in _MODULES.items():
    arithmetic(_op, _module)(Activation)
