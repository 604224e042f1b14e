"""Linear, embedding, and what does nothing in evaluation."""

from __future__ import annotations

from mase.ir.ops import nn
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.site import Site, Value

__all__ = ["embedding", "linear", "nothing"]


@to_onnx.register(nn.Dropout, nn.Identity)
def nothing(op: nn.Dropout | nn.Identity, site: Site) -> Value:
    """``nn.dropout`` and ``nn.identity``."""
    return site.input(0)


@to_onnx.register(nn.Linear)
def linear(op: nn.Linear, site: Site) -> str:
    """``nn.linear``: Gemm for rows, else MatMul and Add."""
    bias, later = site.bias()
    if site.rank() == 2:
        product = site.emit("Gemm", site.input(0), site.param("weight"), bias, transB=1)
    else:
        product = site.emit("MatMul", site.input(0), site.param("weight", (1, 0)))
        later = bias or later
    return product if later is None else site.emit("Add", product, later)


@to_onnx.register(nn.Embedding)
def embedding(op: nn.Embedding, site: Site) -> str:
    """``nn.embedding``."""
    if op.max_norm is not None:
        raise site.error("an embedding with max_norm changes its weight, which ONNX cannot express")
    return site.emit("Gather", site.param("weight"), site.input(0), axis=0)
