"""mase: a compiler for quantized neural networks. What you train is what you ship, bit for bit.

Importing it is cheap: torch loads when something first needs it.

Example:
    >>> import torch, mase
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> graph = mase.trace(net, (torch.randn(2, 4),))
    >>> pipeline = mase.Pipeline('quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}')
    >>> module = mase.lower(pipeline.run(graph))  # or a graph of one's own: run() changes it in place
    >>> module.get_submodule("0")
    LinearInteger(in_features=4, out_features=8, bias=True, ...)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mase.api import decode, dumps, encode, interpret, load, loads, lower, quantize, save, trace
from mase.ir.optional import shield_imports

if TYPE_CHECKING:
    from mase.ir.diagnostics import MaseError
    from mase.ir.graph import Graph
    from mase.passes.context import Context
    from mase.passes.pipeline import Pipeline
    from mase.passes.registry import register_pass
    from mase.runtime.modules import LinearInteger

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Graph",
    "LinearInteger",
    "MaseError",
    "Pipeline",
    "decode",
    "dumps",
    "encode",
    "interpret",
    "load",
    "loads",
    "lower",
    "quantize",
    "register_pass",
    "save",
    "trace",
]

shield_imports()

_LAZY = {
    "Context": "mase.passes.context",
    "Graph": "mase.ir.graph",
    "LinearInteger": "mase.runtime.modules",
    "MaseError": "mase.ir.diagnostics",
    "Pipeline": "mase.passes.pipeline",
    "register_pass": "mase.passes.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mase' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
