"""Lowering of quantized ops, all by one rule: the module class made from the op, with its formats."""

from __future__ import annotations

from mase.ir import Dtype, Node, TensorType
from mase.ir.ops import conv
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.kernels.dtype import torch_dtype
from mase.runtime.lowering.conv import set_padding
from mase.runtime.lowering.registry import Source, to_arguments, to_module
from mase.runtime.modules import QuantizedModule, quantized_module

__all__ = ["may_stay_wide", "quantized"]


@to_module.register(QuantizedOp)
def quantized(op: QuantizedOp, source: Source) -> QuantizedModule:
    """Every ``mase.*`` op that `mase.ir.ops.quantized.derive` made."""
    base = op.float_op
    module = quantized_module(type(op))(**to_arguments(base, source), config=op.formats)
    if isinstance(base, conv.Conv):
        set_padding(module, base)
    module.wide = may_stay_wide(source.node)
    if isinstance(source.node.type, TensorType) and isinstance(source.node.type.format, Dtype):
        module.returns(torch_dtype(source.node.type.format))
    return module


def may_stay_wide(node: Node) -> bool:
    """Whether every use of a value quantizes it once more, so that no bit of it may be lost before.

    Rounding the result to the model's float type first would round twice. Where anything else sees
    the value, be it the caller, it must have that type.
    """
    if node in node.graph.outputs or not node.users:
        return False
    return all(_requantizes(user, node) for user in node.users)


def _requantizes(user: Node, value: Node) -> bool:
    if isinstance(user.op, QuantizedOp):
        names = user.op.schema().operands
        roles = [names[i] for i, operand in enumerate(user.inputs) if operand is value]
        return all(user.op.formats.get(role) is not None for role in roles)
    return keeps_values(user.op) and may_stay_wide(user)
