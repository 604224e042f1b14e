"""Ops that compute nothing: they show their operand otherwise, or move and choose its elements."""

from __future__ import annotations

from mase.ir.op import Op
from mase.ir.ops.core import GetItem
from mase.ir.ops.nn import Dropout, Identity, Relu
from mase.ir.ops.pool import AdaptiveMaxPool1d, AdaptiveMaxPool2d, MaxPool
from mase.ir.ops.tensor import Concat, Flatten, Permute, Transpose
from mase.ir.ops.torch import Call

__all__ = ["called_name", "is_view", "keeps_values"]

# fmt: off
_VIEWS = frozenset({
    "_unsafe_view", "alias", "as_strided", "chunk", "contiguous", "detach", "expand", "flatten", "movedim",
    "narrow", "permute", "reshape", "select", "slice", "split", "split_with_sizes", "squeeze", "t",
    "transpose", "unbind", "unflatten", "unsqueeze", "view",
})
_MOVES = frozenset({
    "cat", "clone", "flip", "gather", "index_select", "relu", "repeat", "repeat_interleave", "roll",
    "stack",
})
# fmt: on


def called_name(op: Call) -> str:
    """The bare name of what is called: ``view`` of ``aten.view.default`` and of ``torch.Tensor.view``.

    Example:
        >>> from mase.ir import Template, parse_type
        >>> called_name(Call(target="aten.view.default", args=Template("(%0,)"), returns=parse_type("f32[]")))
        'view'
    """
    for dialect in ("aten.", "torch.Tensor.", "torch."):
        if op.target.startswith(dialect):
            return op.target.removeprefix(dialect).partition(".")[0]
    return op.target


def is_view(op: Op) -> bool:
    """Whether the result is the operand seen differently, so that nothing moves.

    Dropout counts: in evaluation it is the identity.

    Example:
        >>> is_view(Flatten()), is_view(Relu())
        (True, False)
    """
    if isinstance(op, Call):
        return called_name(op) in _VIEWS
    return isinstance(op, GetItem | Identity | Dropout | Flatten | Transpose | Permute)


def keeps_values(op: Op) -> bool:
    """Whether each element of the result is an element of an operand, or zero, in evaluation.

    Such an op is exact in every number format that has a zero.

    Example:
        >>> keeps_values(Relu()), keeps_values(Concat())
        (True, True)
    """
    if isinstance(op, Call):
        return is_view(op) or called_name(op) in _MOVES
    return is_view(op) or isinstance(op, Relu | Concat | MaxPool | AdaptiveMaxPool1d | AdaptiveMaxPool2d)
