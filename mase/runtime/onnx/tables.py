"""Why a graph that computes functions in integers is not printed with quantizers."""

from __future__ import annotations

from mase.ir import Graph, MaseError
from mase.ir.ops.quantized import QuantizedOp

__all__ = ["check_tables"]


def check_tables(graph: Graph) -> None:
    """Refuse softmax, functions and norms that compute by tables.

    A file of quantizers has ONNX's float operators between them, which are near the integers that the
    module gives, and not the same.

    Args:
        graph: a graph of level ``quantized``.

    Raises:
        MaseError: naming every node that is refused.
    """
    faults = [
        node.fault(
            'computes in integers, by nonlinear = "table"; ONNX\'s operator would in float',
            'legalize-casts, then format="integer", is exact; or quantize{nonlinear="float"}',
        )
        for node in graph.find(QuantizedOp)
        if getattr(node.op, "nonlinear", "float") == "table"
    ]
    if faults:
        raise MaseError(faults)
