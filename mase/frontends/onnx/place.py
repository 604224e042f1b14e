"""Where a rule puts the nodes of an operator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from mase.frontends.onnx.sizes import dims_of, size_node
from mase.frontends.onnx.value import Value
from mase.frontends.values import format_of
from mase.ir.diagnostics import MaseError
from mase.ir.dim import Dim, Expr
from mase.ir.format import Format
from mase.ir.formats import I64, Dtype, Fixed
from mase.ir.graph import Graph, Node
from mase.ir.op import Op
from mase.ir.ops.core import Parameter
from mase.ir.ops.nn import Relu
from mase.ir.ops.quantized import QuantizedOp, quantized_op, with_formats
from mase.ir.ops.tensor import Concat
from mase.ir.template import Hole, Named, Template
from mase.ir.types import TensorType, Type

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
        results: how many results the operator has.
    """

    graph: Graph
    kind: str
    inputs: list[Value | None]
    attributes: Mapping[str, Any]
    output: str
    uses: Mapping[str, int] = field(default_factory=dict[str, int])
    results: int = 1

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
        given = {role: _scalable(op, role, v) for role, v in (roles or {}).items() if v is not None}
        formats: dict[str, Format | None] = {
            schema.operand(i): v.format for i, v in enumerate(operands) if v.format is not None
        }
        formats |= {role: v.format for role, v in given.items() if v.format is not None}
        if _is_finer(formats):
            formats.pop("bias")  # the op would round it to the products' grid, the file adds it as it is
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
            for role, v in given.items():
                params |= self._scales(made, home, role, v)
        result = self.graph.add(made, *nodes, params=params, name=self.output, scope=home if params else "")
        return Value(node=result)

    def call(self, target: str, args: Sequence[Any], returns: Type, **named: str) -> Value:
        """A node of an ATen operator.

        Args:
            target: what is called, such as ``aten.sum.default``.
            args: its arguments: values, symbolic sizes, element types and literals, in lists too.
            returns: the type of the result.
            named: arguments by name.
        """
        from mase.ir.ops.torch import Call

        operands: list[Node] = []

        def written(arg: Any) -> Any:
            if isinstance(arg, list | tuple):
                return [written(a) for a in cast("list[Any]", arg)]
            if isinstance(arg, Dtype):
                return Named(str(arg))
            if not isinstance(arg, Value | Expr):
                return arg
            node = size_node(self.graph, arg) if isinstance(arg, Expr) else self.node(self.carried(arg))
            if node not in operands:
                operands.append(node)
            return Hole(operands.index(node))

        template = Template.of(tuple(written(arg) for arg in args))
        op = Call(target=target, args=template, kwargs=Template.of(named), returns=returns)
        return Value(node=self.graph.add(op, *operands, type=returns, name=self.output))

    def moved_call(self, target: str, args: Sequence[Any], returns: Type) -> Value:
        """The same for what only moves or chooses elements of the first argument, which keeps its grid."""
        value = cast(Value, args[0])
        plain = Value(node=self.node(value))
        made = self.call(target, [plain, *args[1:]], returns).node
        assert made is not None
        return value.of(made)

    def indexed(self, value: Value, at: Value, axis: int = 0) -> Value:
        """The elements of a value at indices along a dimension."""
        type = self.type_of(value)
        shape = type.shape[:axis] + self.type_of(at).shape + type.shape[axis + 1 :]
        args = [value, [*[None] * axis, at]]
        return self.moved_call("aten.index.Tensor", args, type.with_shape(shape))

    def type(self, position: int) -> TensorType:
        """The type of an operand."""
        return self.type_of(self.value(position))

    def type_of(self, value: Value) -> TensorType:
        """The type of a value, for which a constant need not become a node."""
        if value.const is not None:
            return TensorType(format_of(value.const.dtype), tuple(value.const.shape))
        if value.dims is not None:
            return TensorType(I64, () if value.scalar else (len(value.dims),))
        return self.node(value).tensor_type

    def sizes(self, position: int) -> tuple[Dim, ...]:
        """An operand of sizes, which are known or computed from those of inputs.

        Raises:
            MaseError: if it is computed from anything else.
        """
        found = dims_of(self.value(position))
        if found is None:
            raise self.error(f"operand {position} is computed, and mase wants it constant or a size")
        return found

    def moved(self, op: Op) -> Value:
        """A node that only moves its one operand, whose grid it keeps."""
        value = self.value(0)
        return value.of(self.graph.add(op, self.node(value), name=self.output))

    def node(self, value: Value) -> Node:
        """The node of a value; a constant becomes a parameter, sizes a tensor of them."""
        if value.node is not None:
            return value.node
        if value.dims is not None:
            return self._tensor_of(value.dims, value.scalar)
        if value.lookup is not None:
            return self.node(self.indexed(*value.lookup))
        key = self._keep(identifier(value.key or self.output, dots=True), value.const, value.key)
        return self.graph.add(Parameter(), params={"value": key}, name=identifier(key))

    def _tensor_of(self, dims: tuple[Dim, ...], scalar: bool) -> Node:
        type = TensorType(I64, () if scalar else (len(dims),))
        made = self.of("Concat", [], f"{self.output}_sizes")
        shown = dims[0] if scalar else list(dims)
        found = made.call("torch.tensor", [shown], type).node
        assert found is not None
        return found

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
        shape = () if getattr(value.format, "channel", None) is None else (-1,)
        keys = {f"{role}_scale": self._keep(f"{home}.{role}_scale", value.scaled.scale.reshape(shape))}
        if getattr(value.format, "asym", False):
            zero = value.scaled.zero_point.reshape(shape).int()
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
        while self._taken(key):
            if key in self.graph.state and self.graph.state[key] is tensor:
                return key
            key = f"{key.replace('.', '_')}_" if key not in self.graph.state else f"{key}_"
        self.graph.state[key] = tensor
        return key

    def _taken(self, key: str) -> bool:
        """Whether a key is in use, or is what keys in use have before a dot, or the other way around."""
        return any(k == key or k.startswith(f"{key}.") or key.startswith(f"{k}.") for k in self.graph.state)

    def of(self, kind: str, inputs: list[Value | None], output: str) -> Place:
        """The place of a part of the operator."""
        return replace(self, kind=kind, inputs=inputs, output=output)

    def error(self, message: str, help: str | None = None) -> MaseError:
        """An error that names the operator."""
        return MaseError.of(f"{self.kind}: {message}", node=self.output, help=help)


def _scalable(op: Op, role: str, value: Value) -> Value:
    """A constant for a role; without its grid if that has a scale that the role cannot have."""
    made = quantized_op(type(op), "scale_integer")
    if value.scaled is None or (made is not None and f"{role}_scale" in made.scale_roles()):
        return value
    return value.plain()


def _is_finer(formats: Mapping[str, Format | None]) -> bool:
    """Whether a bias has more fractional bits than the products that it is added to."""
    x, weight, bias = (formats.get(role) for role in ("data_in", "weight", "bias"))
    if not (isinstance(x, Fixed) and isinstance(weight, Fixed) and isinstance(bias, Fixed)):
        return False
    return bias.frac > x.frac + weight.frac


def identifier(name: str, dots: bool = False) -> str:
    """A name of the file as one of a node; with ``dots`` as one of a weight."""
    made = re.sub(r"[^\w.]" if dots else r"\W", "_", name).strip("._")
    return made if made and not made[0].isdigit() else f"_{made}"
