"""Rules that print ops as layers of hls4ml: `to_hls` by op class."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mase.ir import Op
from mase.ir.rules import OpRules

if TYPE_CHECKING:
    from mase.runtime.hls.network import Value
    from mase.runtime.hls.site import Site

__all__ = ["Rule", "UnfitError", "to_hls"]

Rule = Callable[[Any, "Site"], "Value"]


class UnfitError(Exception):
    """A node has no exact form.

    Args:
        reason: why.
        help: what to do.
    """

    def __init__(self, reason: str, help: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.help = reason, help


class _Rules(OpRules[Rule]):
    """Rules that take the op, the float one of a quantized op, and a `Site`, and return the `Value`."""

    def find(self, op: type[Op]) -> Rule | None:
        import_module("mase.runtime.hls.rules")  # they register themselves
        return super().find(op)


to_hls = _Rules()
