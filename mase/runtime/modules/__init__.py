"""Trainable modules of ops that torch has none for: the quantized ones, and attention with its dropout."""

from mase.runtime.modules.attention import Attention
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic, quantized_module
from mase.runtime.modules.integer import (
    AdaptiveAvgPool1dInteger,
    AdaptiveAvgPool2dInteger,
    AdaptiveMaxPool1dInteger,
    AdaptiveMaxPool2dInteger,
    AddInteger,
    AvgPool1dInteger,
    AvgPool2dInteger,
    BatchNormInteger,
    Conv1dInteger,
    Conv2dInteger,
    ConvTranspose1dInteger,
    ConvTranspose2dInteger,
    EmbeddingInteger,
    LinearInteger,
    MatmulInteger,
    MaxPool1dInteger,
    MaxPool2dInteger,
    MulInteger,
    ReluInteger,
    SubInteger,
)

__all__ = [
    "AdaptiveAvgPool1dInteger",
    "AdaptiveAvgPool2dInteger",
    "AdaptiveMaxPool1dInteger",
    "AdaptiveMaxPool2dInteger",
    "AddInteger",
    "Attention",
    "AvgPool1dInteger",
    "AvgPool2dInteger",
    "BatchNormInteger",
    "Conv1dInteger",
    "Conv2dInteger",
    "ConvTranspose1dInteger",
    "ConvTranspose2dInteger",
    "EmbeddingInteger",
    "LinearInteger",
    "MatmulInteger",
    "MaxPool1dInteger",
    "MaxPool2dInteger",
    "MulInteger",
    "QuantizedModule",
    "ReluInteger",
    "SubInteger",
    "arithmetic",
    "quantized_module",
]
