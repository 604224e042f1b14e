"""The built-in ops by dialect: ``core``, ``nn``, ``tensor``, ``torch``, quantized ``mase``, exact ``int``."""

from mase.ir.ops import (
    attention,
    conv,
    core,
    drop_path,
    exact,
    experts,
    integer,
    moves,
    nn,
    norm,
    pool,
    quantized,
    recurrent,
    scan,
    tensor,
    torch,
)

__all__ = [
    "attention",
    "conv",
    "core",
    "drop_path",
    "exact",
    "experts",
    "integer",
    "moves",
    "nn",
    "norm",
    "pool",
    "quantized",
    "recurrent",
    "scan",
    "tensor",
    "torch",
]
