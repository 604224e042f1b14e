"""The integer family: fixed-point operands, exact accumulation (``mase.linear_integer``, ...)."""

from __future__ import annotations

from mase.ir.ops import conv, nn, norm, pool, tensor
from mase.ir.ops.quantized import QuantizedOp, derive

__all__ = [
    "AdaptiveAvgPool1dInteger",
    "AdaptiveAvgPool2dInteger",
    "AdaptiveMaxPool1dInteger",
    "AdaptiveMaxPool2dInteger",
    "AddInteger",
    "AvgPool1dInteger",
    "AvgPool2dInteger",
    "BatchNormInteger",
    "Conv1dInteger",
    "Conv2dInteger",
    "ConvTranspose1dInteger",
    "ConvTranspose2dInteger",
    "EmbeddingInteger",
    "LinearInteger",
    "MatMulInteger",
    "MaxPool1dInteger",
    "MaxPool2dInteger",
    "MulInteger",
    "QuantizedOp",
    "ReluInteger",
    "SubInteger",
]

_LAYER = ("data_in", "weight", "bias")
_UNARY = ("data_in",)
_BINARY = ("data_in", "other")

LinearInteger = derive(nn.Linear, "integer", _LAYER)
Conv1dInteger = derive(conv.Conv1d, "integer", _LAYER)
Conv2dInteger = derive(conv.Conv2d, "integer", _LAYER)
ConvTranspose1dInteger = derive(conv.ConvTranspose1d, "integer", _LAYER)
ConvTranspose2dInteger = derive(conv.ConvTranspose2d, "integer", _LAYER)
BatchNormInteger = derive(norm.BatchNorm, "integer", _LAYER)
EmbeddingInteger = derive(nn.Embedding, "integer", ("weight",))
MatMulInteger = derive(tensor.MatMul, "integer", _BINARY)
AddInteger = derive(tensor.Add, "integer", _BINARY)
SubInteger = derive(tensor.Sub, "integer", _BINARY)
MulInteger = derive(tensor.Mul, "integer", _BINARY)
ReluInteger = derive(nn.Relu, "integer", _UNARY)
MaxPool1dInteger = derive(pool.MaxPool1d, "integer", _UNARY)
MaxPool2dInteger = derive(pool.MaxPool2d, "integer", _UNARY)
AvgPool1dInteger = derive(pool.AvgPool1d, "integer", _UNARY)
AvgPool2dInteger = derive(pool.AvgPool2d, "integer", _UNARY)
AdaptiveAvgPool1dInteger = derive(pool.AdaptiveAvgPool1d, "integer", _UNARY)
AdaptiveAvgPool2dInteger = derive(pool.AdaptiveAvgPool2d, "integer", _UNARY)
AdaptiveMaxPool1dInteger = derive(pool.AdaptiveMaxPool1d, "integer", _UNARY)
AdaptiveMaxPool2dInteger = derive(pool.AdaptiveMaxPool2d, "integer", _UNARY)
