"""Relu, and functions of one number as tables with the very results of the model."""

from __future__ import annotations

from mase.ir.ops import nn
from mase.runtime.hls.network import Value
from mase.runtime.hls.registry import to_hls
from mase.runtime.hls.site import Site

__all__ = ["function", "relu"]

_FUNCTIONS = (
    *(nn.Relu6, nn.LeakyRelu, nn.Elu, nn.Selu, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Gelu, nn.Silu),
    *(nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Softsign),
)


@to_hls.register(nn.Relu)
def relu(op: nn.Relu, site: Site) -> Value:
    """``relu``."""
    x = site.operand()
    if x.numbers.low >= 0:
        return x
    numbers = x.numbers.clipped(0, max(x.numbers.high, 0))
    made = site.add("Activation", [x], x.shape, numbers, activation="relu")
    return Value(made.layer, made.shape, x.places, numbers)


@to_hls.register(*_FUNCTIONS)
def function(op: nn.Activation, site: Site) -> Value:
    """A table, once a quantizer says what its results are rounded to."""
    x = site.operand()
    return Value(x.layer, x.shape, x.places, x.numbers, site.node)
