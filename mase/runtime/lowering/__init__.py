"""How each op becomes a module or a function: one file a dialect, one rule an op."""

from mase.runtime.lowering import (
    blocks,
    call,
    conv,
    core,
    exact,
    nn,
    norm,
    pool,
    quantized,
    recurrent,
    tensor,
)
from mase.runtime.lowering.registry import Function, Lowered, Source, to_arguments, to_module

__all__ = [
    "Function",
    "Lowered",
    "Source",
    "blocks",
    "call",
    "conv",
    "core",
    "exact",
    "nn",
    "norm",
    "pool",
    "quantized",
    "recurrent",
    "tensor",
    "to_arguments",
    "to_module",
]
