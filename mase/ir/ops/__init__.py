"""The built-in ops by dialect: ``core``, ``nn``, ``tensor``, ``torch``, quantized ``mase``, exact ``int``."""

from mase.ir.ops import attention, conv, core, exact, integer, moves, nn, norm, pool, quantized, tensor, torch

__all__ = [
    "attention",
    "conv",
    "core",
    "exact",
    "integer",
    "moves",
    "nn",
    "norm",
    "pool",
    "quantized",
    "tensor",
    "torch",
]
