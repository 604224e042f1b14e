"""Rules by op class: what becomes of each op elsewhere, one function an op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from mase.ir.op import Op

__all__ = ["OpRules"]

R = TypeVar("R", bound=Callable[..., Any])


class OpRules(Generic[R]):
    """Functions by op class; a class without one takes its base's.

    Example:
        >>> from mase.ir.ops import conv
        >>> spatial: OpRules[Callable[[Op], int]] = OpRules()
        >>> @spatial.register(conv.Conv)
        ... def dimensions(op: conv.Conv) -> int:
        ...     return op.spatial
        >>> spatial.find(conv.Conv2d) is dimensions, spatial.find(Op)
        (True, None)
    """

    def __init__(self) -> None:
        self._rules: dict[type[Op], R] = {}

    def register(self, *ops: type[Op]) -> Callable[[R], R]:
        """A decorator that makes a function the rule of op classes and their subclasses."""

        def add(rule: R) -> R:
            self._rules.update(dict.fromkeys(ops, rule))
            return rule

        return add

    def find(self, op: type[Op]) -> R | None:
        """The rule of an op class, None if it has none."""
        return next((self._rules[cls] for cls in op.__mro__ if cls in self._rules), None)
