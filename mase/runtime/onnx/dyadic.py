"""``requant = "dyadic"`` in files of quantizers: exact where scales are powers of two, else refused."""

from __future__ import annotations

from mase.ir import Graph, MaseError, Node
from mase.ir.formats import Integer
from mase.ir.ops.quantized import QuantizedOp, role_formats

__all__ = ["check_dyadic", "inexact_scales"]


def check_dyadic(graph: Graph) -> None:
    """Refuse scales that are no powers of two where the graph computes with them in integers.

    ``DequantizeLinear`` and ``Quant`` multiply by a scale in float32, and each engine does so in an order of
    its own, so that no file of them gives what a 31-bit multiplier and a shift give.

    Args:
        graph: a graph of level ``quantized``.

    Raises:
        MaseError: naming every operand that is refused.
    """
    faults = [
        node.fault(
            f"the scale of {role} is no power of two, and requant=dyadic multiplies by it in integers; "
            "ONNX's quantizers do so in float32, each engine in an order of its own",
            'legalize-casts, then format="integer", is exact; so is fixed<W,F> here',
        )
        for node, role in inexact_scales(graph)
        if getattr(node.op, "requant", "float") == "dyadic"
    ]
    if faults:
        raise MaseError(faults)


def inexact_scales(graph: Graph) -> list[tuple[Node, str]]:
    """The operands of ``int<W>`` whose scales are no powers of two, each as its node and its role.

    Engines multiply by such scales in float32, so that results differ in their last bits, and a number that
    close to a tie may become the code beside it.
    """
    return [
        (node, role)
        for node in graph.find(QuantizedOp)
        for role, format in role_formats(node.op).items()
        if isinstance(format, Integer) and not _shifts(node, role, format)
    ]


def _shifts(node: Node, role: str, format: Integer) -> bool:
    """Whether all scales of an operand are powers of two."""
    from mase.runtime.given_scales import given_scale
    from mase.runtime.kernels import scale_of

    found = given_scale(node, role)
    if found is None and role in node.params:
        found = scale_of(node.graph.state[node.params[role]], format)
    scale = None if found is None else found.value  # printing refuses scales that no one knows
    return scale is None or bool((scale.frexp().mantissa.abs() == 0.5).all())
