"""Rules that read operators, by their ONNX name."""

from __future__ import annotations

from collections.abc import Callable

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.value import Value

__all__ = ["RULES", "from_onnx"]

Rule = Callable[[Place], "Value | list[Value]"]

RULES: dict[str, Rule] = {}
"""The rule of each operator."""


def from_onnx(*kinds: str) -> Callable[[Rule], Rule]:
    """A decorator that makes a function the rule of operators, from a `Place` to a `Value` or several."""

    def add(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return add
