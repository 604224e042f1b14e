"""The two registries of capture: `from_module` and `from_call`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard, TypeVar

from torch import nn

from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import core
from mase.ir.types import TensorType

__all__ = [
    "CallRules",
    "CallSite",
    "Mode",
    "ModuleRules",
    "Unit",
    "from_call",
    "from_module",
    "is_tensor",
    "pairs",
]

Mode = Literal["train", "eval"]
"""Which side of ``if self.training:`` the trace followed."""

ModuleRule = Callable[[Any], Op | None]
CallRule = Callable[..., "Unit | None"]
M = TypeVar("M", bound=ModuleRule)
C = TypeVar("C", bound=CallRule)


@dataclass(frozen=True)
class Unit:
    """What a module or call becomes: an op, its data operands and the state key of each role."""

    op: Op
    operands: tuple[Node, ...]
    params: Mapping[str, str] = field(default_factory=dict[str, str])


class ModuleRules:
    """Rules by module class: which op a module is, or None if no op computes exactly the same.

    Example:
        >>> import torch
        >>> from mase.ir.ops import nn
        >>> from mase.frontends.rules import from_module
        >>> from_module(torch.nn.Hardtanh(0, 6))
        Hardtanh(min_val=0.0, max_val=6.0)
        >>> from_module(torch.nn.PReLU()) is None
        True
    """

    def __init__(self) -> None:
        self._rules: dict[type, ModuleRule] = {}

    def register(self, *classes: type[nn.Module]) -> Callable[[M], M]:
        """Let the decorated function decide for modules of ``classes``.

        A subclass is decided by it too unless it has a ``forward`` of its own.
        """

        def add(rule: M) -> M:
            self._rules.update(dict.fromkeys(classes, rule))
            return rule

        return add

    def __call__(self, module: nn.Module) -> Op | None:
        """The op that ``module`` is: what it says itself (`mase.ir.protocol.OpModule`), or by its class."""
        if hasattr(type(module), "mase_op"):
            said = getattr(module, "mase_op")  # noqa: B009
            return said if isinstance(said, Op) else None
        for cls in type(module).__mro__:
            rule = self._rules.get(cls)
            if rule is not None and _forward(cls) is _forward(type(module)):
                return rule(module)
        return None


def _forward(cls: type) -> object:
    return getattr(cls, "forward", None)


class CallSite:
    """What a call rule may ask about its surroundings.

    Args:
        mode: the mode of the trace; in ``train`` a call's training flag is True.
        scope: the path of the module around the call.
    """

    def __init__(self, mode: Mode, scope: str = "") -> None:
        self.mode: Mode = mode
        self.scope = scope

    def roles(self, **values: object) -> dict[str, str] | None:
        """The state keys of values that are weights; None if one of them is computed.

        A value of None is a role that is absent.
        """
        keys: dict[str, str] = {}
        for role, value in values.items():
            if value is None:
                continue
            if not (isinstance(value, Node) and isinstance(value.op, core.Parameter)):
                return None
            keys[role] = value.params["value"]
        return keys


class CallRules:
    """Rules by the text of what is called: ``aten.relu.default``, ``torch.relu``, ``torch.Tensor.relu``.

    A rule has the parameters of the function, after a `CallSite`; a call that does not fit them has
    no rule.
    """

    def __init__(self) -> None:
        self._rules: dict[str, tuple[CallRule, inspect.Signature]] = {}

    def register(self, *targets: str) -> Callable[[C], C]:
        """Let the decorated function decide for calls of ``targets``."""

        def add(rule: C) -> C:
            self._rules.update(dict.fromkeys(targets, (rule, inspect.signature(rule))))
            return rule

        return add

    def __call__(
        self, target: str, site: CallSite, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> Unit | None:
        """The unit that a call becomes, or None if no op computes exactly the same."""
        if target not in self._rules:
            return None
        rule, signature = self._rules[target]
        try:
            signature.bind(site, *args, **kwargs)
        except TypeError:
            return None
        return rule(site, *args, **kwargs)


from_module = ModuleRules()
from_call = CallRules()


def is_tensor(value: object) -> TypeGuard[Node]:
    """Whether a rule's argument is a tensor of the graph."""
    return isinstance(value, Node) and isinstance(value.type, TensorType)


def pairs(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """A setting of a windowed layer as one number a dimension."""
    return (value,) * rank if isinstance(value, int) else tuple(value)
