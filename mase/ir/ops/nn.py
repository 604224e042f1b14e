"""Layers without a window: linear, embedding, dropout and activations."""

from __future__ import annotations

from typing import ClassVar, Literal

from mase.ir.axes import Axes
from mase.ir.op import Op, OpError, register_op
from mase.ir.ops.shapes import same, tensor
from mase.ir.types import TensorType, Type

__all__ = [
    "Activation",
    "Dropout",
    "Elu",
    "Embedding",
    "Gelu",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyRelu",
    "Linear",
    "LogSoftmax",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]


@register_op("nn.linear")
class Linear(Op):
    """``data_in @ weight.T + bias`` over the last dimension; weight is ``[out, in]``."""

    quantized_roles = ("data_in", "weight", "bias")

    def infer(self, data_in: TensorType, *, weight: TensorType, bias: TensorType | None = None) -> Type:
        x, w = tensor(data_in, "data_in"), tensor(weight, "weight", 2)
        if not x.rank:
            raise OpError("data_in: expected at least one dimension, found a scalar")
        same(w.shape[1], x.shape[-1], "features of data_in")
        if bias is not None:
            same(w.shape[0], tensor(bias, "bias", 1).shape[0], "length of bias")
        return x.with_shape((*x.shape[:-1], w.shape[0]))


@register_op("nn.embedding")
class Embedding(Op):
    """Rows of ``weight`` (``[num, dim]``) by index."""

    quantized_roles = ("weight",)
    padding_idx: int | None = None
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    sparse: bool = False

    def infer(self, indices: TensorType, *, weight: TensorType) -> Type:
        i, w = tensor(indices, "indices"), tensor(weight, "weight", 2)
        return w.with_shape((*i.shape, w.shape[1]))


@register_op("nn.dropout")
class Dropout(Op):
    """Zero elements with probability ``p`` in training, scale the rest by ``1/(1-p)``."""

    p: float = 0.5
    dims: Literal[0, 1, 2, 3] = 0
    """0 drops elements, 1 to 3 whole channels of that many spatial dimensions."""

    def infer(self, data_in: TensorType) -> Type:
        return tensor(data_in, "data_in")


class Activation(Op):
    """Base of the functions of one operand that keep its shape."""

    quantized_roles: ClassVar[tuple[str, ...]] = ("data_in",)
    off_grid = True

    def infer(self, data_in: TensorType) -> Type:
        return tensor(data_in, "data_in")


@register_op("nn.identity")
class Identity(Activation):
    """The operand itself."""

    quantized_roles = ()
    off_grid = False


@register_op("nn.relu")
class Relu(Activation):
    """``max(x, 0)``."""

    off_grid = False


@register_op("nn.relu6")
class Relu6(Activation):
    """``min(max(x, 0), 6)``."""

    off_grid = False  # as far as the grid holds what it clips to


@register_op("nn.leaky_relu")
class LeakyRelu(Activation):
    """``x`` where positive, ``negative_slope * x`` elsewhere."""

    negative_slope: float = 0.01


@register_op("nn.elu")
class Elu(Activation):
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere."""

    alpha: float = 1.0


@register_op("nn.selu")
class Selu(Activation):
    """The `Elu` and a slope that together keep mean 0 and variance 1 (Klambauer et al. 2017)."""


@register_op("nn.hardtanh")
class Hardtanh(Activation):
    """``x`` clipped to ``[min_val, max_val]``."""

    off_grid = False  # as far as the grid holds what it clips to
    min_val: float = -1.0
    max_val: float = 1.0


@register_op("nn.hardsigmoid")
class Hardsigmoid(Activation):
    """``min(max(x + 3, 0), 6) / 6``."""


@register_op("nn.hardswish")
class Hardswish(Activation):
    """``x * hardsigmoid(x)``."""


@register_op("nn.gelu")
class Gelu(Activation):
    """``x * Phi(x)``, exactly or by the tanh approximation."""

    approximate: Literal["none", "tanh"] = "none"


@register_op("nn.silu")
class Silu(Activation):
    """``x * sigmoid(x)``."""


@register_op("nn.tanh")
class Tanh(Activation):
    """Hyperbolic tangent."""


@register_op("nn.sigmoid")
class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``."""


@register_op("nn.softplus")
class Softplus(Activation):
    """``log(1 + exp(beta * x)) / beta``, linear above ``threshold``."""

    beta: float = 1.0
    threshold: float = 20.0


@register_op("nn.softsign")
class Softsign(Activation):
    """``x / (1 + |x|)``."""


@register_op("nn.softmax")
class Softmax(Activation):
    """Exponentials that sum to one along ``dim``."""

    dim: int = -1

    def axes(self, role: str) -> Axes:
        return Axes((self.dim,))


@register_op("nn.log_softmax")
class LogSoftmax(Activation):
    """The logarithm of `Softmax`."""

    off_grid = False  # it has no integer form
    dim: int = -1

    def axes(self, role: str) -> Axes:
        return Axes((self.dim,))
