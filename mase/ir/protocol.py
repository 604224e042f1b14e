"""How a user's module class says which op it is, so that capture recognises it without importing it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mase.ir.op import Op

__all__ = ["OpModule"]


@runtime_checkable
class OpModule(Protocol):
    """A module that is one op.

    Capture makes it a node of that op; each role of the op's schema that the module has as a
    parameter or buffer of the same name becomes a role of the node. A class of one's own joins by
    this property alone.

    Example:
        >>> from mase.ir.ops import nn
        >>> class MyRelu:
        ...     @property
        ...     def mase_op(self) -> Op:
        ...         return nn.Relu()
        >>> isinstance(MyRelu(), OpModule)
        True
    """

    @property
    def mase_op(self) -> Op:
        """The op with its attributes."""
        ...
