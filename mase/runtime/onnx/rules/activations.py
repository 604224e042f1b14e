"""Activations, in the operators that ONNX has for them where it has any."""

from __future__ import annotations

from mase.ir.ops import nn
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.site import Site

__all__ = ["clipped", "gelu", "hardsigmoid", "plain", "sloped", "softmax", "softplus", "swish"]

_PLAIN: dict[type[nn.Activation], str] = {
    nn.Relu: "Relu",
    nn.Tanh: "Tanh",
    nn.Sigmoid: "Sigmoid",
    nn.Softsign: "Softsign",
    nn.Hardswish: "HardSwish",
    nn.Selu: "Selu",
}


@to_onnx.register(*_PLAIN)
def plain(op: nn.Activation, site: Site) -> str:
    """Activations without attributes."""
    return site.emit(_PLAIN[type(op)], site.input(0))


@to_onnx.register(nn.LeakyRelu, nn.Elu)
def sloped(op: nn.LeakyRelu | nn.Elu, site: Site) -> str:
    """``nn.leaky_relu`` and ``nn.elu``."""
    if isinstance(op, nn.Elu):
        return site.emit("Elu", site.input(0), alpha=op.alpha)
    return site.emit("LeakyRelu", site.input(0), alpha=op.negative_slope)


@to_onnx.register(nn.Relu6, nn.Hardtanh)
def clipped(op: nn.Relu6 | nn.Hardtanh, site: Site) -> str:
    """``nn.relu6`` and ``nn.hardtanh``."""
    low, high = (op.min_val, op.max_val) if isinstance(op, nn.Hardtanh) else (0.0, 6.0)
    return site.emit("Clip", site.input(0), site.number(low), site.number(high))


@to_onnx.register(nn.Hardsigmoid)
def hardsigmoid(op: nn.Hardsigmoid, site: Site) -> str:
    """``nn.hardsigmoid``."""
    return site.emit("HardSigmoid", site.input(0), alpha=1 / 6, beta=0.5)


@to_onnx.register(nn.Gelu)
def gelu(op: nn.Gelu, site: Site) -> str:
    """``nn.gelu``."""
    return site.emit("Gelu", site.input(0), approximate=op.approximate)


@to_onnx.register(nn.Silu)
def swish(op: nn.Silu, site: Site) -> str:
    """``nn.silu``."""
    return site.emit("Mul", site.input(0), site.emit("Sigmoid", site.input(0)))


@to_onnx.register(nn.Softplus)
def softplus(op: nn.Softplus, site: Site) -> str:
    """``nn.softplus``; where the operand is large the function is the operand itself."""
    x = site.input(0)
    scaled = x if op.beta == 1 else site.emit("Mul", x, site.number(op.beta))
    large = site.emit("Greater", scaled, site.number(op.threshold))
    small = site.emit("Min", scaled, site.number(op.threshold))
    curved = site.emit("Softplus", small)
    curved = curved if op.beta == 1 else site.emit("Div", curved, site.number(op.beta))
    return site.emit("Where", large, x, curved)


@to_onnx.register(nn.Softmax, nn.LogSoftmax)
def softmax(op: nn.Softmax | nn.LogSoftmax, site: Site) -> str:
    """``nn.softmax`` and ``nn.log_softmax``."""
    name = "Softmax" if isinstance(op, nn.Softmax) else "LogSoftmax"
    return site.emit(name, site.input(0), axis=op.dim)
