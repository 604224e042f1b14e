"""Trainable modules of ops that torch has none for: the quantized ones, and attention with its dropout.

There is a class for each op and arithmetic family, named after both: ``LinearInteger``, ``Conv2dBlockFP``,
``GeluMinifloatIEEE``, ``AttentionMXInt``. Each takes the arguments of the torch module that it is made from
and ``config``, the formats by role. A class is made when its name is first used.

Example:
    >>> import torch
    >>> from mase.runtime.modules import AddInteger, LinearMXInt
    >>> add = AddInteger(config={"data_in": "fixed<8,4>", "other": "fixed<8,6>"})
    >>> add(torch.tensor([0.1]), torch.tensor([0.1]))
    tensor([0.2188])
    >>> LinearMXInt(64, 2, config={"weight_width": 8, "weight_block_size": 32})
    LinearMXInt(in_features=64, out_features=2, bias=True, weight=mxint<8,32>)
"""

from mase.ir.ops.quantized import quantized_op
from mase.runtime.modules import (
    activation,
    average,
    contraction,
    elementwise,
    joining,
    mean,
    norm,
    normalization,
    rotary,
)
from mase.runtime.modules.attention import Attention
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic, module_names, quantized_module
from mase.runtime.modules.integer import LinearInteger
from mase.runtime.modules.plain import Concat, KVCache, Mean, RotaryEmbedding

__all__ = [
    "ARITHMETIC",
    "Attention",
    "Concat",
    "KVCache",
    "LinearInteger",
    "Mean",
    "QuantizedModule",
    "RotaryEmbedding",
    "arithmetic",
    "quantized_module",
]

ARITHMETIC = (activation, average, contraction, elementwise, joining, mean, norm, normalization, rotary)
"""The modules that register how the float ops compute, beside `attention`."""


def __getattr__(name: str) -> type[QuantizedModule]:
    for known, base, family in module_names():
        if known == name and (op := quantized_op(base, family)):
            return globals().setdefault(name, quantized_module(op))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for name, _, _ in module_names())})
