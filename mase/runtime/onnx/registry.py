"""Rules that print ops as ONNX: `to_onnx` by op class, `call_to_onnx` by the name of an ATen operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mase.ir import Op
from mase.ir.ops.moves import called_name
from mase.ir.ops.torch import Call
from mase.ir.rules import OpRules
from mase.runtime.onnx.site import Site, Value

__all__ = ["CallRule", "Rule", "call_to_onnx", "operator_of", "to_onnx", "to_onnx_exact", "to_onnx_quantized"]

Rule = Callable[[Any, Site], Value]
CallRule = Callable[[Site, dict[str, Any]], Value]


class _Rules(OpRules[Rule]):
    """Rules that take the op and a `Site`, and return the name of the value that they made.

    Example:
        >>> from mase.ir import Op, register_op
        >>> @register_op("doc.negate")
        ... class Negate(Op):
        ...     def infer(self, data_in):
        ...         return data_in
        >>> @to_onnx.register(Negate)
        ... def negate(op: Negate, site: Site) -> str:
        ...     return site.emit("Neg", site.input(0))
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __call__(self, op: Op, site: Site) -> Value:
        """Apply the rule of an op.

        Raises:
            MaseError: if it has none.
        """
        rule = self.find(type(op))
        if rule is None:
            raise site.error(
                f"op {op.name} has no form in ONNX",
                help=f"write one: @{self._name}.register({type(op).__name__})",
            )
        return rule(op, site)


class _CallRules:
    """Rules of ``torch.call`` by the bare name of what is called, such as ``unsqueeze``."""

    def __init__(self) -> None:
        self._rules: dict[str, CallRule] = {}

    def register(self, *names: str) -> Callable[[CallRule], CallRule]:
        """A decorator for a function that takes a `Site` and the call's arguments by name."""

        def add(rule: CallRule) -> CallRule:
            self._rules.update(dict.fromkeys(names, rule))
            return rule

        return add

    def find(self, op: Call) -> CallRule | None:
        """The rule for a call of an ATen operator, if there is one."""
        return self._rules.get(called_name(op)) if op.target.startswith("aten.") else None


def operator_of(site: Site) -> str:
    """The bare name of what a ``torch.call`` calls, as it is given to `call_to_onnx`."""
    assert isinstance(site.op, Call)
    return called_name(site.op)


to_onnx = _Rules("to_onnx")
"""What each op becomes. In a quantized op the rule of its float op sees operands and weights that are
quantized already, for an op quantizes its operands and its result is exact."""

to_onnx_quantized = _Rules("to_onnx_quantized")
"""Quantized forms, by float op, of those ops that compute otherwise when they are quantized: averages by a
fixed-point ``1/n``, batch norm from its scale and shift, attention that quantizes its weights, relu."""

to_onnx_exact = _Rules("to_onnx_exact")
"""What ops become in a graph of level ``integer``; those without a rule here are printed as at the others."""

call_to_onnx = _CallRules()
