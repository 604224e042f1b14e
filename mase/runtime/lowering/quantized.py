"""Lowering of quantized ops, all by one rule: the module class made from the op, with its formats."""

from __future__ import annotations

from typing import Any

import torch

from mase.ir import Dtype, Node, TensorType
from mase.ir.ops import conv
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.kernels.dtype import torch_dtype
from mase.runtime.lowering.conv import set_padding
from mase.runtime.lowering.registry import Source, to_arguments, to_module
from mase.runtime.modules import QuantizedModule, quantized_module

__all__ = ["may_stay_wide", "quantized", "stays_wide"]


@to_module.register(QuantizedOp)
def quantized(op: QuantizedOp, source: Source) -> QuantizedModule:
    """Every ``mase.*`` op that `mase.ir.ops.quantized.derive` made."""
    base = op.float_op
    config = op.formats | {"data_out": op.data_out, "nonlinear": op.nonlinear, "requant": op.requant}
    module = quantized_module(type(op))(**to_arguments(base, source), config=config)
    if isinstance(base, conv.Conv):
        set_padding(module, base)
    _set_scales(module, source)
    module.wide = stays_wide(source.node)
    module.divided = module.wide and _is_divided(source.node)
    if isinstance(source.node.type, TensorType) and isinstance(source.node.type.format, Dtype):
        module.returns(torch_dtype(source.node.type.format))
    return module


def _set_scales(module: QuantizedModule, source: Source) -> None:
    """Give the module places for the scales that the node has in its roles."""
    state = source.node.graph.state
    for role in module.op_class.roles:
        if not source.has(f"{role}_scale"):
            continue
        places: dict[str, Any] = {
            what: torch.empty_like(state[source.node.params[f"{role}_{what}"]], device="meta")
            for what in ("scale", "zero_point", "range")
            if source.has(f"{role}_{what}")
        }
        module.set_scale(role, **places)


def may_stay_wide(node: Node) -> bool:
    """Whether every use of a value quantizes it once more, so that no bit of it may be lost before.

    Rounding the result to the model's float type first would round twice. Where anything else sees
    the value, be it the caller, it must have that type.
    """
    if node in node.graph.outputs or not node.users:
        return False
    return all(_requantizes(user, node) for user in node.users)


def stays_wide(node: Node) -> bool:
    """Whether a value is passed on in the type that holds all its bits.

    It is if it `may_stay_wide`, unless numbers of the model's float type join it on its way to a quantizer
    that divides: they would be divided in float64 then, and lie elsewhere beside a tie than in float32.
    """
    return may_stay_wide(node) and not _meets_floats(node)


def _meets_floats(node: Node) -> bool:
    moves = [user for user in node.users if not isinstance(user.op, QuantizedOp)]
    joined = (move for move in moves if any(map(_comes_as_float, move.inputs)))
    return any(map(_is_divided, joined)) or any(map(_meets_floats, moves))


def _comes_as_float(node: Node) -> bool:
    type = node.type
    if not (isinstance(type, TensorType) and isinstance(type.format, Dtype) and type.format.is_float):
        return False
    if isinstance(node.op, QuantizedOp):
        return False
    return any(map(_comes_as_float, node.inputs)) if keeps_values(node.op) and node.inputs else True


def _is_divided(node: Node) -> bool:
    """Whether a use of a value, moved or not, divides it by a scale in float64."""
    return any(
        user.op.requant == "dyadic" if isinstance(user.op, QuantizedOp) else _is_divided(user)
        for user in node.users
    )


def _requantizes(user: Node, value: Node) -> bool:
    if isinstance(user.op, QuantizedOp):
        return all(user.op.formats.get(role) is not None for role in user.roles_of(value))
    return keeps_values(user.op) and may_stay_wide(user)
