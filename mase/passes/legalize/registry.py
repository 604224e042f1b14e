"""Which rule makes integer ops of which quantized op."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mase.ir.graph import Node
from mase.ir.op import Op

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer
    from mase.passes.legalize.value import Value

__all__ = ["Rule", "legalize"]

Rule = Callable[[Node, "Legalizer"], "Value"]


class _Rules:
    """Rules by the class of the float op that a quantized op was made from."""

    def __init__(self) -> None:
        self._rules: dict[type[Op], Rule] = {}

    def register(self, *ops: type[Op]) -> Callable[[Rule], Rule]:
        """A decorator: let a function ``(node, legal)`` add the integer ops of quantized nodes.

        Args:
            ops: float ops; their subclasses have the rule too.
        """

        def add(rule: Rule) -> Rule:
            self._rules.update(dict.fromkeys(ops, rule))
            return rule

        return add

    def find(self, op: type[Op]) -> Rule | None:
        """The rule of a float op, None if it has none."""
        return next((self._rules[cls] for cls in op.__mro__ if cls in self._rules), None)


legalize = _Rules()
"""The rules: ``@legalize.register(nn.Linear)``."""
