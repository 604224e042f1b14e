"""A node: one operation of a graph and the value that it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mase.ir.annotations import Meta
from mase.ir.diagnostics import Diagnostic, Location, MaseError
from mase.ir.op import Op
from mase.ir.types import TensorType, Type

if TYPE_CHECKING:
    from mase.ir.graph import Graph

__all__ = ["Node"]


class Node:
    """One operation and the value that it computes.

    ``scope`` is the module path in the user's model and survives every rewrite; ``loc`` is the
    user's file and line. Create nodes with `Graph.add`.
    """

    def __init__(self, graph: Graph, name: str, op: Op, type: Type) -> None:
        self.graph = graph
        self.name = name
        self._op = op
        self._type = type
        self._inputs: tuple[Node, ...] = ()
        self._params: dict[str, str] = {}
        self._users: dict[Node, None] = {}
        self.scope: str = ""
        self.loc: Location | None = None
        self.meta = Meta(self._touch)

    def _touch(self) -> None:
        self.graph.touch()

    @property
    def op(self) -> Op:
        """The operation; assigning another keeps operands, roles and users."""
        return self._op

    @op.setter
    def op(self, value: Op) -> None:
        self._op = value
        self.graph.touch()

    @property
    def type(self) -> Type:
        """The type of the value."""
        return self._type

    @type.setter
    def type(self, value: Type) -> None:
        self._type = value
        self.graph.touch()

    @property
    def tensor_type(self) -> TensorType:
        """The type, known to be a tensor's.

        Raises:
            MaseError: if the value is not a tensor.
        """
        if not isinstance(self._type, TensorType):
            raise MaseError.of(f"expected a tensor, found {self._type}", node=self.name, source=self.loc)
        return self._type

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The data operands."""
        return self._inputs

    @inputs.setter
    def inputs(self, nodes: Sequence[Node]) -> None:
        for node in self._inputs:
            node._users.pop(self, None)
        self._inputs = tuple(nodes)
        for node in self._inputs:
            node._users[self] = None
        self.graph.touch()

    @property
    def named_inputs(self) -> list[tuple[str, Node]]:
        """The data operands, each after the role that it has in the op's schema."""
        schema = self._op.schema()
        return [(schema.operand(i), n) for i, n in enumerate(self._inputs)]

    def roles_of(self, value: Node) -> list[str]:
        """The roles in which the op takes a value as data operands."""
        return [role for role, n in self.named_inputs if n is value]

    @property
    def params(self) -> Mapping[str, str]:
        """The state key of each parameter role."""
        return self._params

    @params.setter
    def params(self, roles: Mapping[str, str]) -> None:
        self.graph.note_weights(self, self._params, roles)
        self._params = dict(roles)
        self.graph.touch()

    @property
    def users(self) -> tuple[Node, ...]:
        """The nodes that take this value as an operand, each once."""
        return tuple(self._users)

    def infer(self) -> Type:
        """The type that the op computes from its operands now.

        Raises:
            mase.ir.op.OpError: if they do not fit.
        """
        roles = {role: self.graph.state.entry(key).type for role, key in self._params.items()}
        return self._op.infer(*(n.type for n in self._inputs), **roles)

    def fault(self, message: str, help: str | None = None) -> Diagnostic:
        """An error about this node, which names it and the user's line."""
        return Diagnostic(f"{self.op.name}: {message}", node=self.name, source=self.loc, help=help)

    def replace_input(self, old: Node, new: Node) -> None:
        """Take ``new`` wherever ``old`` is an operand."""
        self.inputs = [new if n is old else n for n in self._inputs]

    def replace_all_uses_with(self, other: Node) -> None:
        """Let every user, and the graph's outputs, take ``other`` instead."""
        for user in self.users:
            if user is not other:
                user.replace_input(self, other)
        self.graph.outputs = [other if n is self else n for n in self.graph.outputs]

    def __repr__(self) -> str:
        operands = ", ".join(f"%{n.name}" for n in self._inputs)
        return f"%{self.name}: {self._type} = {self._op.name}({operands})"
