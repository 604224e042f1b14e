"""Where a rule puts the nodes of an operator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from mase.frontends.onnx.value import Value
from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.graph import Graph, Node
from mase.ir.op import Op
from mase.ir.ops.core import Parameter
from mase.ir.ops.nn import Relu
from mase.ir.ops.quantized import QuantizedOp, quantized_op, with_formats
from mase.ir.ops.tensor import Concat
from mase.ir.template import Template
from mase.ir.types import Type

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Place", "identifier"]


@dataclass
class Place:
    """An operator of the file, and the graph that it becomes part of.

    Args:
        graph: the graph.
        kind: the operator's name.
        inputs: its operands; None where one is left out.
        attributes: its attributes by name.
        output: the name of its result.
        uses: how often each name of the file is used.
    """

    graph: Graph
    kind: str
    inputs: list[Value | None]
    attributes: Mapping[str, Any]
    output: str
    uses: Mapping[str, int] = field(default_factory=dict[str, int])

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def has(self, position: int) -> bool:
        """Whether there is an operand at a position."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def value(self, position: int) -> Value:
        """An operand."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise self.error(f"operand {position} is missing")
        return found

    def const(self, position: int) -> Tensor:
        """An operand that must be a constant."""
        found = self.value(position).const
        if found is None:
            raise self.error(f"operand {position} is computed, and mase wants it constant")
        return found

    def ints(self, position: int) -> list[int]:
        """A constant vector of integers."""
        values: list[Any] = cast(Any, self.const(position).reshape(-1)).tolist()
        return [int(v) for v in values]

    # -- nodes ------------------------------------------------------------------------------

    def add(
        self,
        op: Op,
        *operands: Value,
        roles: Mapping[str, Value | None] | None = None,
        extra: Mapping[str, Tensor] | None = None,
    ) -> Value:
        """A node of a float op; with a quantized operand or parameter, of its quantized op.

        Args:
            op: the float op.
            operands: its data operands.
            roles: constants by parameter role.
            extra: further tensors by role.
        """
        schema = op.schema()
        given = {role: v for role, v in (roles or {}).items() if v is not None}
        formats: dict[str, Format | None] = {
            schema.operand(i): v.format for i, v in enumerate(operands) if v.format is not None
        }
        formats |= {role: v.format for role, v in given.items() if v.format is not None}
        can = quantized_op(type(op)) is not None and set(formats) <= set(type(op).quantized_roles)
        if formats and not can:
            operands, formats = tuple(self.carried(v) for v in operands), {}
        nodes = [self.node(v) for v in operands]
        home = self.home(given)
        params = {role: self._keep(f"{home}.{role}", v.const, v.key) for role, v in given.items()}
        params |= {role: self._keep(f"{home}.{role}", t) for role, t in (extra or {}).items()}
        made: Op = with_formats(op, formats) if formats else op
        if isinstance(made, QuantizedOp):
            for i, v in enumerate(operands):
                params |= self._scales(made, home, schema.operand(i), v)
        result = self.graph.add(made, *nodes, params=params, name=self.output, scope=home if params else "")
        return Value(node=result)

    def call(self, target: str, args: str, returns: Type, *operands: Value) -> Value:
        """A node of an ATen operator; operands that moved keep their grid."""
        from mase.ir.ops.torch import Call

        op = Call(target=target, args=Template.parse(args), returns=returns)
        return Value(
            node=self.graph.add(op, *(self.node(v) for v in operands), type=returns, name=self.output)
        )

    def moved(self, op: Op) -> Value:
        """A node that only moves its one operand, whose grid it keeps."""
        value = self.value(0)
        return value.of(self.graph.add(op, self.node(value), name=self.output))

    def node(self, value: Value) -> Node:
        """The node of a value; a constant becomes a parameter."""
        if value.node is not None:
            return value.node
        key = self._keep(identifier(value.key or self.output, dots=True), value.const, value.key)
        return self.graph.add(Parameter(), params={"value": key}, name=identifier(key))

    def carried(self, value: Value) -> Value:
        """A value that is on its grid by itself, for those who quantize nothing."""
        if value.format is None or value.node is None:
            return value
        unsigned = value.format.min == 0
        op = with_formats(Relu() if unsigned else Concat(dim=0), {"data_in": value.format})
        name = f"{value.node.name}_quantized"
        params = self._scales(op, name, "data_in", value)
        return Value(node=self.graph.add(op, value.node, params=params, name=name))

    def _scales(self, op: QuantizedOp, home: str, role: str, value: Value) -> dict[str, str]:
        """The keys of an operand's scale and zero point, where its format has some."""
        if value.scaled is None or f"{role}_scale" not in type(op).scale_roles():
            return {}
        keys = {f"{role}_scale": self._keep(f"{home}.{role}_scale", value.scaled.scale.reshape(()))}
        if getattr(value.format, "asym", False):
            zero = value.scaled.zero_point.reshape(()).int()
            keys[f"{role}_zero_point"] = self._keep(f"{home}.{role}_zero_point", zero)
        for key in keys.values():
            self.graph.state.declare(key, self.graph.state.entry(key).type, "buffer")
        return keys

    def home(self, given: Mapping[str, Value]) -> str:
        """The scope of a node: what its constants are called before the last dot, else its own name."""
        homes = {v.key.removesuffix(f".{role}") for role, v in given.items() if v.key.endswith(f".{role}")}
        if len(homes) == 1 and all(v.key.endswith(f".{role}") for role, v in given.items()):
            home = homes.pop()
            if home and not any(f"{home}.{role}" in self.graph.state for role in given):
                return home
        return identifier(self.output)

    def _keep(self, key: str, tensor: Tensor | None, shared: str = "") -> str:
        """Store a tensor under a key, or find it where the file uses it twice."""
        assert tensor is not None
        while key in self.graph.state:
            if self.graph.state[key] is tensor:
                return key
            key += "_"
        self.graph.state[key] = tensor
        return key

    def error(self, message: str, help: str | None = None) -> MaseError:
        """An error that names the operator."""
        return MaseError.of(f"{self.kind}: {message}", node=self.output, help=help)


def identifier(name: str, dots: bool = False) -> str:
    """A name of the file as one of a node; with ``dots`` as one of a weight."""
    made = re.sub(r"[^\w.]" if dots else r"\W", "_", name).strip("._")
    return made if made and not made[0].isdigit() else f"_{made}"
