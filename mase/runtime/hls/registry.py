"""Rules that print ops as layers of hls4ml: `to_hls` by op class."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mase.ir import Op

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


class _Rules:
    """Rules by op class; a class without one takes its base's."""

    def __init__(self) -> None:
        self._rules: dict[type[Op], Rule] = {}

    def register(self, *ops: type[Op]) -> Callable[[Rule], Rule]:
        """A decorator that makes a function the rule of op classes and their subclasses.

        The function takes the op, the float one of a quantized op, and a `Site`; it returns the `Value`.
        """

        def add(rule: Rule) -> Rule:
            self._rules.update(dict.fromkeys(ops, rule))
            return rule

        return add

    def find(self, op: Op) -> Rule | None:
        """The rule of an op, if there is one."""
        import_module("mase.runtime.hls.rules")  # they register themselves
        return next((self._rules[cls] for cls in type(op).__mro__ if cls in self._rules), None)


to_hls = _Rules()
