"""Lowering of the dialect ``int``, all by one rule: a module that executes the op on int64 tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mase.ir.ops.exact import ExactOp
from mase.runtime.exact import execute
from mase.runtime.lowering.registry import Source, to_module

__all__ = ["ExactModule", "exact"]


class ExactModule(nn.Module):
    """An op of the dialect ``int`` as a module; its roles are buffers, and nothing of it trains.

    Args:
        op: the op.
        roles: the tensors of its roles.
    """

    def __init__(self, op: ExactOp, roles: dict[str, Tensor]) -> None:
        super().__init__()
        self.op = op
        self._roles = tuple(roles)
        for role, tensor in roles.items():
            self.register_buffer(role, tensor)

    @torch.no_grad()
    def forward(self, *operands: Tensor) -> Tensor:
        """The result for int64 tensors; of floats for ``int.quantize``."""
        roles: dict[str, Any] = {role: getattr(self, role) for role in self._roles}
        with torch.autocast(_device(operands), enabled=False):  # which would round the float units' operands
            return execute(self.op, *operands, **roles)

    def extra_repr(self) -> str:
        return ", ".join([self.op.name, *(f"{k}={v}" for k, v in self.op.attributes().items())])


def _device(operands: tuple[Tensor, ...]) -> str:
    return operands[0].device.type if operands else "cpu"


@to_module.register(ExactOp)
def exact(op: ExactOp, source: Source) -> ExactModule:
    """Every ``int.*`` op."""
    state = source.node.graph.state
    roles = {r: torch.empty_like(state[key], device="meta") for r, key in source.node.params.items()}
    return ExactModule(op, roles)
