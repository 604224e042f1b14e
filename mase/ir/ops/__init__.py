"""The built-in ops by dialect: ``core``, ``nn``, ``tensor``, ``torch`` and the quantized ops ``mase``."""

from mase.ir.ops import attention, conv, core, integer, moves, nn, norm, pool, quantized, tensor, torch

__all__ = [
    "attention",
    "conv",
    "core",
    "integer",
    "moves",
    "nn",
    "norm",
    "pool",
    "quantized",
    "tensor",
    "torch",
]
