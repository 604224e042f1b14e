"""How many multiply-accumulates a node does: one small function for each kind of op."""

from __future__ import annotations

from functools import singledispatch
from math import prod

from mase.ir.dim import Dim
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import exact
from mase.ir.ops.attention import Attention
from mase.ir.ops.conv import Conv, ConvTranspose
from mase.ir.ops.experts import GroupedMatMul
from mase.ir.ops.moves import called_name
from mase.ir.ops.nn import Linear
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.ops.recurrent import Recurrent
from mase.ir.ops.scan import SelectiveScan
from mase.ir.ops.tensor import MatMul
from mase.ir.ops.torch import Call, Module
from mase.ir.types import TensorType

__all__ = ["is_counted", "macs"]


@singledispatch
def macs(op: Op, node: Node) -> Dim:
    """The multiply-accumulates of one call; 0 unless a function is registered for the op's class.

    Counted is what published figures count: linear layers, convolutions, matrix products, attention,
    recurrent nets, state spaces. Biases, normalisation, activations, the gates of recurrent nets and
    pooling count nothing. An op of one's own joins with::

        @macs.register
        def _(op: MyOp, node: Node) -> Dim:
            return node.tensor_type.numel * 9

    Args:
        op: the op; the float op of a quantized one.
        node: the node, for the types of its operands, weights and result.

    Returns:
        A number, or an expression of the symbolic dimensions.

    Example:
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops import core, nn
        >>> graph = Graph()
        >>> graph.state.declare("weight", parse_type("f32[10,4]"))
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"))
        >>> y = graph.add(nn.Linear(), x, params={"weight": "weight"})
        >>> str(macs(y.op, y))
        '40*N'
    """
    return 0


@macs.register
def _(op: QuantizedOp, node: Node) -> Dim:
    return macs(op.float_op, node)


@macs.register
def _(op: Linear | Conv | exact.Contraction, node: Node) -> Dim:
    # Every result sums over one row of the weight, which holds in/groups channels times the kernel.
    weight = _weight(node)
    return node.tensor_type.numel * (weight.numel // weight.shape[0])


@macs.register
def _(op: ConvTranspose, node: Node) -> Dim:
    # Every operand element is spread over one row of the weight: out/groups channels times the kernel.
    weight = _weight(node)
    return node.inputs[0].tensor_type.numel * (weight.numel // weight.shape[0])


@macs.register
def _(op: MatMul | exact.MatMul, node: Node) -> Dim:
    return node.tensor_type.numel * node.inputs[0].tensor_type.shape[-1]


@macs.register
def _(op: Attention, node: Node) -> Dim:
    query, key, value = (n.tensor_type for n in node.inputs[:3])
    length, features = key.shape[-2], query.shape[-1] + value.shape[-1]
    rows = query.with_shape(query.shape[:-1]).numel
    return rows * length * features


@macs.register
def _(op: GroupedMatMul, node: Node) -> Dim:
    # Every row meets the weights of one expert.
    rows, other = node.inputs[0].tensor_type.shape[0], node.inputs[1].tensor_type
    return rows * prod(other.shape[1:])


@macs.register
def _(op: Recurrent, node: Node) -> Dim:
    # At each step of each sequence every matrix, also that of the state, meets one vector.
    steps = prod(node.inputs[0].tensor_type.shape[:-1])
    state = node.graph.state
    return steps * sum(
        state.entry(key).type.numel for role, key in node.params.items() if role.startswith("weight")
    )


@macs.register
def _(op: SelectiveScan, node: Node) -> Dim:
    # For each state of each channel: decay * state, + (step * x) * b, and its share of c . state.
    x, a = node.inputs[0].tensor_type, node.inputs[2].tensor_type
    return 3 * x.numel * a.shape[1]


@macs.register
def _(op: Call, node: Node) -> Dim:
    factor = _CALLS.get(called_name(op))
    if factor is None:
        return 0
    shape = node.inputs[factor].tensor_type.shape
    return node.tensor_type.numel * (shape[-1] if called_name(op) in _MATRICES else prod(shape[1:]))


def _weight(node: Node) -> TensorType:
    return node.graph.state.entry(node.params["weight"]).type


_MATRICES = {"mm": 0, "bmm": 0, "matmul": 0, "addmm": 1, "baddbmm": 1}
_CALLS = _MATRICES | {"linear": 1, "conv1d": 1, "conv2d": 1, "conv3d": 1}
"""ATen calls that are counted, with the operand whose shape says how many products a result sums."""

_PRODUCTS = ("mm", "matmul", "conv", "einsum", "linear", "attention", "tensordot", "lstm", "gru", "rnn_")


def is_counted(node: Node) -> bool:
    """Whether `macs` knows the node; False for opaque modules and for ATen calls that look like products."""
    op = node.op
    if isinstance(op, Call):
        return called_name(op) in _CALLS or not any(word in op.target for word in _PRODUCTS)
    if macs.dispatch(type(op)) is not macs.dispatch(Op):
        return True
    return not (isinstance(op, Module) and node.params)
