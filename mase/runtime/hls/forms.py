"""What hls4ml computes exactly. It compiles other forms too, and some of them wrongly without a word."""

from __future__ import annotations

from mase.ir import Fixed, Graph, MaseError, Node, TensorType
from mase.ir.diagnostics import Diagnostic
from mase.ir.ops import conv as conv_ops
from mase.ir.ops import core, nn, norm, pool, tensor
from mase.ir.ops.quantized import QuantizedOp, float_op

__all__ = ["check_forms"]

_PLAIN = (nn.Relu, nn.Dropout, nn.Identity, tensor.Flatten, tensor.Add, pool.MaxPool1d, pool.MaxPool2d)
_APPROXIMATED = (nn.Softmax, nn.Tanh, nn.Sigmoid, nn.Silu, nn.Gelu, nn.Elu, nn.Selu, nn.Softplus)
_FOLD = "fold-batchnorm puts it into the layer before"


def check_forms(graph: Graph) -> None:
    """Refuse what hls4ml compiles wrongly, approximates or does not know.

    Args:
        graph: a graph of level ``quantized``.

    Raises:
        MaseError: naming every node that is refused, with the reason.
    """
    faults: list[Diagnostic] = []
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        faults.append(Diagnostic("a project for hls4ml has one input and one output"))
    for node in graph.nodes:
        if not isinstance(node.op, core.Input) and (found := _fault(node)):
            message, help = found
            said = f"{node.op.name}: {message}"
            faults.append(Diagnostic(said, node=node.name, source=node.loc, help=help))
    if faults:
        raise MaseError(faults)


def _fault(node: Node) -> tuple[str, str | None] | None:
    """Why a node is refused, and what to do; None if it is not."""
    if isinstance(node.op, QuantizedOp) and (wrong := _wrong_format(node.op)):
        return wrong
    op = float_op(node.op)
    match op:
        case nn.Linear() if _rank(node) == 2 and isinstance(node.op, QuantizedOp):
            return None
        case nn.Linear():
            return (
                "hls4ml multiplies matrices of rows only, in integers",
                "a convolution with kernel 1 is exact",
            )
        case conv_ops.Conv1d() | conv_ops.Conv2d() if isinstance(node.op, QuantizedOp):
            if op.padding_mode != "zeros":
                return f"padding by {op.padding_mode} is not known to hls4ml", "pad with zeros"
            return None
        case pool.AdaptiveAvgPool2d() if all(size == 1 for size in op.output_size):
            return None  # printed as a convolution
        case tensor.MatMul():
            return "hls4ml compiles products of two values, and computes them wrongly", None
        case norm.BatchNorm():
            return "a batch norm by itself takes a multiplier for each number", _FOLD
        case pool.AvgPool() | pool.AdaptivePool() | tensor.Mean():
            return (
                "hls4ml compiles averages, and computes them wrongly",
                "a global pool of images is rewritten",
            )
        case _ if isinstance(op, _APPROXIMATED):
            return "hls4ml approximates it by a table of its own", "leave it to the host, or use relu"
        case _ if isinstance(op, _PLAIN):
            return None
        case _:
            return "hls4ml has no form for it", None


def _rank(node: Node) -> int:
    type = node.inputs[0].type
    return type.rank if isinstance(type, TensorType) else 0


def _wrong_format(op: QuantizedOp) -> tuple[str, str | None] | None:
    for role, format in op.formats.items():
        if format is None:
            continue
        if not isinstance(format, Fixed):
            return (
                f"{role} is {format}; scales that are no powers of two are off by some last bits",
                "quantize to fixed<W,F>",
            )
        if format.rounding == "half_up" and role not in ("weight", "bias"):
            return (
                f"{role} is {format}, a rounding that hls4ml does not have",
                "half_even and floor are exact",
            )
    return None
