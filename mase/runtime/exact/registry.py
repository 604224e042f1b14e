"""Which function executes which op of the dialect ``int``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mase.ir import MaseError
from mase.ir.ops.exact import ExactOp

__all__ = ["execute"]

Execution = Callable[..., Tensor]


class _Executions:
    """Functions of int64 tensors by op class; a class without one takes its base's."""

    def __init__(self) -> None:
        self._known: dict[type[ExactOp], Execution] = {}

    def register(self, *ops: type[ExactOp]) -> Callable[[Execution], Execution]:
        """A decorator that lets a function execute op classes and their subclasses."""

        def add(function: Execution) -> Execution:
            self._known.update(dict.fromkeys(ops, function))
            return function

        return add

    def __call__(self, op: ExactOp, *operands: Tensor, **roles: Any) -> Tensor:
        """The result of an op.

        Args:
            op: an op of the dialect ``int``.
            operands: int64 tensors; a float one for ``int.quantize``.
            roles: the tensors of the parameter roles, in any integer type.

        Raises:
            MaseError: if no function executes the op.
        """
        for cls in type(op).__mro__:
            if function := self._known.get(cls):
                return function(op, *operands, **roles)
        raise MaseError.of(
            f"op {op.name} has no execution",
            help=f"write one: @execute.register({type(op).__name__}) in mase/runtime/exact",
        )


execute = _Executions()
"""Execute an op of the dialect ``int``; ``execute.register`` adds a function for one."""
