"""The integer family by name: ``integer.LinearInteger`` is ``mase.linear_integer``.

Fixed-point operands, exact accumulation. The ops are made from their float ops, see `quantized`.
"""

from __future__ import annotations

from mase.ir.ops import quantized
from mase.ir.ops.quantized import QuantizedOp

__all__: list[str] = []


def __getattr__(name: str) -> type[QuantizedOp]:
    if not name.endswith("Integer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(quantized, name)
