"""Which rule makes integer ops of which quantized op."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mase.ir.graph import Node
from mase.ir.rules import OpRules

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer
    from mase.passes.legalize.value import Value

__all__ = ["Rule", "legalize"]

Rule = Callable[[Node, "Legalizer"], "Value"]


legalize: OpRules[Rule] = OpRules()
"""The rules by the class of the float op that a quantized op was made from: ``@legalize.register(nn.Linear)``
lets a function ``(node, legal)`` add the integer ops of quantized nodes."""
