"""Which function executes which op of the dialect ``int``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mase.ir import MaseError
from mase.ir.ops.exact import ExactOp
from mase.ir.rules import OpRules

__all__ = ["execute"]

Execution = Callable[..., Tensor]


class _Executions(OpRules[Execution]):
    """Functions of int64 tensors."""

    def __call__(self, op: ExactOp, *operands: Tensor, **roles: Any) -> Tensor:
        """The result of an op.

        Args:
            op: an op of the dialect ``int``.
            operands: int64 tensors; a float one for ``int.quantize``.
            roles: the tensors of the parameter roles, in any integer type.

        Raises:
            MaseError: if no function executes the op.
        """
        function = self.find(type(op))
        if function is not None:
            return function(op, *operands, **roles)
        raise MaseError.of(
            f"op {op.name} has no execution",
            help=f"write one: @execute.register({type(op).__name__}) in mase/runtime/exact",
        )


execute = _Executions()
"""Execute an op of the dialect ``int``; ``execute.register`` adds a function for one."""
