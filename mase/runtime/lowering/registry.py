"""Lowering rules by op class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from torch import nn

from mase.ir import MaseError, Node, Op
from mase.ir.rules import OpRules

__all__ = ["Function", "Lowered", "Rule", "Source", "to_arguments", "to_module"]


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

R = TypeVar("R")
Rule = Callable[[Any, Source], R]


class _Rules(OpRules[Rule[R]], Generic[R]):
    """Rules that take the op and a `Source`.

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

    def __init__(self, kind: str, name: str) -> None:
        super().__init__()
        self._kind, self._name = kind, name

    def __call__(self, op: Op, source: Source) -> R:
        """Apply the rule of an op.

        Raises:
            MaseError: if it has none.
        """
        rule = self.find(type(op))
        if rule is not None:
            return rule(op, source)
        raise source.error(
            f"op {op.name} has no {self._kind}",
            help=f"write one: @{self._name}.register({type(op).__name__}) in the module that defines the op",
        )


to_module: _Rules[Lowered] = _Rules("lowering", "to_module")
"""What each op becomes: a `Function`; or a module, whose parameters have the names of the op's roles and
get the graph's values. Rules run under ``torch.device("meta")``, so that building a module costs nothing; a
tensor of a module that is no role of the op must name its device."""

to_arguments: _Rules[dict[str, Any]] = _Rules("constructor arguments", "to_arguments")
"""The arguments of the torch module that a float op is: both the float op and the quantized ops made from
it are lowered with them. An op without a torch module has none."""
