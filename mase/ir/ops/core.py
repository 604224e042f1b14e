"""The ops that hold a graph together: inputs, parameters and tuple elements."""

from __future__ import annotations

from mase.ir.op import Op, OpError, register_op
from mase.ir.types import TensorType, TupleType, Type

__all__ = ["GetItem", "Input", "Parameter"]


@register_op("core.input")
class Input(Op):
    """A value that the caller gives; its type is declared on the node.

    Args:
        path: where the value lies in the caller's arguments, such as ``past[0]``; empty for the
            argument called like the node.
    """

    path: str = ""

    @property
    def pure(self) -> bool:
        return False


@register_op("core.parameter")
class Parameter(Op):
    """A weight or buffer that a call uses as a plain operand."""

    def infer(self, *, value: TensorType) -> Type:
        return value


@register_op("core.getitem")
class GetItem(Op):
    """One element of a tuple."""

    index: int

    def infer(self, source: TupleType) -> Type:
        if not 0 <= self.index < len(source.elements):
            raise OpError(f"{source} has no element {self.index}")
        return source.elements[self.index]
