"""Quantized ops: their operands quantized, then printed as the float op that they were made from."""

from __future__ import annotations

import numpy as np

from mase.ir import Fixed
from mase.ir.ops import nn, norm
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.onnx.codes import codes_of
from mase.runtime.onnx.qdq import QdqQuantizers
from mase.runtime.onnx.registry import to_onnx, to_onnx_quantized
from mase.runtime.onnx.site import Site, Value

__all__ = ["batch_norm", "embedding", "quantized"]


@to_onnx.register(QuantizedOp)
def quantized(op: QuantizedOp, site: Site) -> Value:
    """Every ``mase.*`` op that `mase.ir.ops.quantized.derive` made."""
    quantizers, base = site.quantizers, op.float_op
    if quantizers is None:
        raise site.error(f"{op.name} is quantized", help='export it with format="qdq" or "qonnx"')
    schema = op.schema()
    is_relu = isinstance(base, nn.Relu) and op.formats.get("data_in") is not None and quantizers.floors
    inputs: list[Value] = []
    for i, value in enumerate(site.inputs):
        role = schema.operand(i)
        format = op.formats.get(role)
        if format is not None:
            sign = "floor" if is_relu else site.signs[i]
            value = quantizers.activation(site, role, value, format, sign)
        inputs.append(value)
    inner = site.of(op=base, inputs=tuple(inputs), formats=op.formats)
    if is_relu:
        result = inputs[0]
    else:
        special = to_onnx_quantized.find(type(base))
        result = to_onnx(base, inner) if special is None else special(base, inner)
    if op.data_out is not None:
        result = quantizers.activation(inner, "data_out", result, op.data_out)
    return result


@to_onnx_quantized.register(nn.Embedding)
def embedding(op: nn.Embedding, site: Site) -> str:
    """Rows of codes, dequantized when they have been looked up."""
    format, quantizers = site.formats.get("weight"), site.quantizers
    if format is None or not isinstance(quantizers, QdqQuantizers) or op.max_norm is not None:
        return str(to_onnx(op, site))
    codes = codes_of(site, "weight", format)
    if codes.axis is not None:
        return str(to_onnx(op, site))
    rows = site.emit("Gather", quantizers.stored(site, "weight", codes), site.input(0), axis=0)
    return quantizers.dequantized(site, "weight", codes, rows)


@to_onnx_quantized.register(norm.BatchNorm)
def batch_norm(op: norm.BatchNorm, site: Site) -> str:
    """``data_in * scale + shift``, both quantized from their values in float64."""
    import torch

    from mase.runtime.kernels import quantize

    if not (site.has("running_mean") and site.has("running_var")):
        raise site.error("a batch norm without running statistics depends on the batch; ONNX has none")
    mean, var = (site.tensor(r).double() for r in ("running_mean", "running_var"))
    weight = site.tensor("weight").double() if site.has("weight") else torch.ones_like(mean)
    bias = site.tensor("bias").double() if site.has("bias") else torch.zeros_like(mean)
    scale = weight / (var + op.eps).sqrt()
    values = {"weight": scale, "bias": bias - mean * scale}
    x, w, b = (site.formats.get(role) for role in ("data_in", "weight", "bias"))
    frac = x.frac + w.frac if isinstance(x, Fixed) and isinstance(w, Fixed) and isinstance(b, Fixed) else None
    shape = (1, -1, *[1] * (site.rank() - 2))
    parts: list[str] = []
    for role, value in values.items():
        format = site.formats.get(role)
        value = value.float() if frac is None else value
        if format is not None:
            value = quantize(value, format)
        if role == "bias" and frac is not None:  # on the grid of the products
            value = torch.round(value * 2.0**frac) * 2.0**-frac
        parts.append(site.constant(value.float().reshape(shape).numpy().astype(np.float32), role))
    return site.emit("Add", site.emit("Mul", site.input(0), parts[0]), parts[1])
