"""Lowering rules by op class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from mase.ir import MaseError, Node, Op

__all__ = ["Function", "Lowered", "Rule", "Source", "to_module"]


@dataclass(frozen=True)
class Function:
    """A call of a Python function.

    Args:
        target: what to call; a method of `torch.Tensor` by its name.
        args: its positional arguments, where ``Hole(i)`` stands for operand ``i``; None takes the
            operands in order.
        kwargs: its keyword arguments, with holes.
        on_device: whether the call makes a tensor, which is to lie where the model's input lies.
    """

    target: Callable[..., Any] | str
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on_device: bool = False


@dataclass(frozen=True)
class Source:
    """What a rule may look at beside its op.

    Args:
        node: the node that is lowered.
        model: the user's model, if the caller has it.
    """

    node: Node
    model: nn.Module | None = None

    def shape(self, role: str) -> tuple[int, ...]:
        """The shape of the tensor in a parameter role.

        Raises:
            MaseError: if it is symbolic.
        """
        type = self.node.graph.state.entry(self.node.params[role]).type
        sizes = tuple(d for d in type.shape if isinstance(d, int))
        if len(sizes) != type.rank:
            raise self.error(f"{role}: expected a known shape, found {type}")
        return sizes

    def has(self, role: str) -> bool:
        """Whether the node has a parameter in this role."""
        return role in self.node.params

    def error(self, message: str, help: str | None = None) -> MaseError:
        """An error that names the node and the user's line."""
        return MaseError.of(message, node=self.node.name, source=self.node.loc, help=help)


Lowered = nn.Module | Function
Rule = Callable[[Any, Source], Lowered]

O = TypeVar("O", bound=Op)


class _Rules:
    """Rules by op class; a class without one takes its base's."""

    def __init__(self) -> None:
        self._rules: dict[type[Op], Rule] = {}

    def register(self, *ops: type[Op]) -> Callable[[Rule], Rule]:
        """A decorator that makes a function the rule of op classes and their subclasses.

        The function takes the op and a `Source`. It gives either a module, whose parameters have the
        names of the op's roles (their values are filled in, so build it freely), or a `Function`.

        Example:
            >>> from mase.ir import Op, register_op
            >>> @register_op("doc.double")
            ... class Double(Op):
            ...     def infer(self, data_in):
            ...         return data_in
            >>> @to_module.register(Double)
            ... def double(op: Double, source: Source) -> Function:
            ...     return Function(lambda x: 2 * x)
        """

        def add(rule: Rule) -> Rule:
            self._rules.update(dict.fromkeys(ops, rule))
            return rule

        return add

    def __call__(self, source: Source) -> Lowered:
        """Apply the rule of a node's op. Parameters of a module that it builds hold no values yet.

        Raises:
            MaseError: if the op has no rule.
        """
        op = source.node.op
        for cls in type(op).__mro__:
            if rule := self._rules.get(cls):
                with torch.device("meta"):
                    return rule(op, source)
        raise source.error(
            f"op {op.name} has no lowering",
            help=f"write one: @to_module.register({type(op).__name__}) in the module that defines the op",
        )


to_module = _Rules()
"""The rules of all ops."""
