"""How each op is printed as ONNX: one file a dialect, one rule an op."""

from mase.runtime.onnx.rules import (
    activations,
    arithmetic,
    attention,
    averages,
    calls,
    calls_views,
    conv,
    core,
    exact,
    nn,
    nonlinear,
    norm,
    pool,
    products,
    quantized,
    requantize,
)

__all__ = [
    "activations",
    "arithmetic",
    "attention",
    "averages",
    "calls",
    "calls_views",
    "conv",
    "core",
    "exact",
    "nn",
    "nonlinear",
    "norm",
    "pool",
    "products",
    "quantized",
    "requantize",
]
