"""The legalizer: builds a graph of integers beside a quantized one, from its quantized ops on demand.

A quantized op asks for its operands as codes of its own formats. The request travels up through the ops that
only move elements to the value that was computed, which is requantized there: so pools and reshapes move
codes, not accumulators, and a scale for each channel is gone before a reshape could lose its dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal, cast

import torch
from torch import Tensor

from mase.ir.diagnostics import Diagnostic, MaseError
from mase.ir.formats import Fixed, Integer
from mase.ir.graph import Graph, Node
from mase.ir.op import OpError
from mase.ir.ops import core, nn
from mase.ir.ops.exact import Code, Constant, Dequantize, ExactOp, Quantity, Quantize, RoundsAlike
from mase.ir.ops.moves import called_name, keeps_values
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.ops.torch import Call
from mase.ir.types import TensorType
from mase.passes.context import Context
from mase.passes.legalize.constants import Constants, codes_of
from mase.passes.legalize.lookup import rows
from mase.passes.legalize.moves import Mover, is_float, is_relu
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.requantizing import requantization
from mase.passes.legalize.value import FIT, Scaling, Target, Value
from mase.runtime.given_scales import positive
from mase.runtime.lowering.quantized import stays_wide

__all__ = ["Boundary", "Legalizer"]

Boundary = Literal["float", "codes"]


class Legalizer:
    """Makes the integer graph of a quantized one.

    Args:
        graph: the quantized graph; it stays as it is.
        ctx: the context of the run, for notes.
        boundary: whether inputs and outputs are floats or codes.
    """

    def __init__(self, graph: Graph, ctx: Context, boundary: Boundary = "float") -> None:
        self.old, self.ctx, self.boundary = graph, ctx, boundary
        self.new = Graph(graph.name, "integer")
        self.new.header = graph.header
        self.constants = Constants(graph.state, self.new.state)
        self.mover = Mover(self)
        self.faults: list[Diagnostic] = []
        self._dyadic = any(n.op.requant == "dyadic" for n in graph.nodes if isinstance(n.op, QuantizedOp))
        self._exact: dict[Node, Value] = {}
        self._cast: dict[tuple[object, ...], Value] = {}
        self._plain: dict[Node, Node] = {}

    def run(self) -> Graph:
        """The integer graph.

        Raises:
            MaseError: naming every node that cannot be legalized, the reason and the remedy.
        """
        for node in self.old.inputs:
            self._plain[node] = self.new.add(node.op, type=node.type, name=node.name, like=node)
        for node in self.old.nodes:
            if isinstance(node.op, QuantizedOp):
                self._attempt(node)
        if self.faults:
            raise MaseError(self.faults)
        self.new.outputs = [self._output(node) for node in self.old.outputs]
        self.new.structure = self.old.structure
        return self.new

    def _attempt(self, node: Node) -> None:
        try:
            self._exact[node] = self._computed(node)
        except MaseError as error:
            self.faults += [d for d in error.diagnostics if d not in self.faults]

    def _computed(self, node: Node) -> Value:
        op = node.op
        assert isinstance(op, QuantizedOp)
        rule = legalize.find(op.base)
        if rule is None:
            raise self.fault(node, f"{op.base.name} has no form in integers", "leave it out, or add a rule")
        value = rule(node, self)
        if op.data_out is not None:
            value = self.requantized(value, self.target(node, "data_out"), node, node.name)
        return value

    # -- what rules use ---------------------------------------------------------------------

    def fault(self, node: Node, message: str, help: str) -> MaseError:
        """An error that names a node of the quantized graph."""
        return MaseError([node.fault(message, help)])

    def operand(
        self, node: Node, position: int, *, low: Fraction | None = None, high: Fraction | None = None
    ) -> Value:
        """An operand of a quantized op as codes of the format that the op quantizes it to.

        Args:
            node: the quantized node.
            position: which operand.
            low: numbers below become this one: a fused ReLU.
            high: numbers above become this one.
        """
        role = node.op.schema().operand(position)
        target = self.target(node, role).clipped(low, high)
        wish = node.name if low is not None or high is not None else f"{node.name}_{role}"
        return self.cast(node.inputs[position], target, node, wish)

    def target(self, node: Node, role: str) -> Target:
        """What the quantizer of a role gives.

        Raises:
            MaseError: if the role stays in float or its format has no static integer codes.
        """
        op = node.op
        assert isinstance(op, QuantizedOp)
        format = op.data_out if role == "data_out" else op.formats[role]
        if isinstance(format, Fixed):
            scale = Fraction(2) ** -format.frac
            return Target(format, scale, 0, format.code_min, format.code_max)
        if format is None:
            raise self.fault(node, f"{role} stays in float", f"give it a format: {role} = fixed<8>")
        if not isinstance(format, Integer):
            raise self.fault(
                node, f"{role} is {format}, which is no integer", "quantize to fixed<W,F> or int<W>"
            )
        if f"{role}_scale" not in node.params or format.reach != "tensor" or format.channel is not None:
            raise self.fault(
                node,
                f"{role} = {format} takes its scale from each tensor anew",
                "leave it out, or say fixed<W,F>"
                if role == "data_out"
                else "quantize{scales=static}, in a format with one scale for the tensor",
            )
        return self._static(node, role, format)

    def _static(self, node: Node, role: str, format: Integer) -> Target:
        keys = {
            w: node.params[f"{role}_{w}"] for w in ("scale", "zero_point") if f"{role}_{w}" in node.params
        }
        scale = Fraction(float(positive(self.old.state[keys["scale"]])))
        zero = int(self.old.state[keys["zero_point"]]) if "zero_point" in keys else 0
        return Target(format, scale, zero, format.code_min, format.code_max, tuple(keys.items()))

    def emit(
        self,
        node: Node,
        op: ExactOp,
        *values: Value,
        scaling: Scaling,
        zero_point: int = 0,
        roles: Mapping[str, tuple[Tensor, Code | None]] | None = None,
        name: str | None = None,
    ) -> Value:
        """Add a node to the integer graph.

        Args:
            node: the quantized node that it comes from; gives scope, place, and the name if none is given.
            op: the op; a ``width`` of `FIT` becomes what its interval needs.
            values: its operands.
            scaling: what its codes mean.
            zero_point: the code of 0.
            roles: the integers of its roles, and the format that they are packed in.
            name: a wish for the name.

        Raises:
            MaseError: naming the node, if an intermediate number could leave int64.
        """
        tensors = {role: tensor for role, (tensor, _) in (roles or {}).items()}
        try:
            interval = op.bounds(*(v.interval for v in values), **tensors)
        except OpError as error:
            raise self.fault(node, str(error), "choose narrower formats") from None
        if getattr(op, "width", None) == FIT:
            op = cast(ExactOp, replace(cast(Any, op), width=interval.width))
        params = {
            role: self.constants.key(node, role, tensor, format)
            for role, (tensor, format) in (roles or {}).items()
        }
        operands = [v.node for v in values]
        wish = name or (f"{node.name}_exact" if getattr(node.op, "data_out", None) else node.name)
        made = self.new.add(op, *operands, params=params, name=wish, like=node)
        return self.annotated(Value(made, scaling, zero_point, interval))

    def annotated(self, value: Value) -> Value:
        """Let the node of a value carry its `Quantity`."""
        scaling, node = value.scaling, value.node
        if scaling.axis is None:
            scale = float(scaling.factors[0])
            node.meta.set(Quantity(scale=scale, zero_point=value.zero_point))
        else:
            scales = torch.tensor([float(f) for f in scaling.factors], dtype=torch.float64)
            key = self.constants.key(node, "scales", scales, None)
            node.meta.set(Quantity(scales=key, axis=scaling.axis, zero_point=value.zero_point))
        return value

    # -- requests ---------------------------------------------------------------------------

    def exact(self, node: Node) -> Value:
        """The integers that a node of the quantized graph computes, as they are."""
        if node in self._exact:
            return self._exact[node]
        if isinstance(node.op, QuantizedOp):
            raise MaseError([])  # it failed, and is reported
        if keeps_values(node.op) and node.inputs and is_float(node):
            self._exact[node] = self.mover.moved(node, self.exact)
            return self._exact[node]
        raise self.fault(node, *_island(node))

    def cast(self, node: Node, target: Target, user: Node, name: str) -> Value:
        """The codes that a quantizer makes of a value of the quantized graph.

        Args:
            node: the value.
            target: what the quantizer gives.
            user: the quantized node that asks.
            name: a wish for the name of a node that has to be added.
        """
        key = (node, target)
        if key not in self._cast:
            self._cast[key] = self._made(node, target, user, name)
        return self._cast[key]

    def _made(self, node: Node, target: Target, user: Node, name: str) -> Value:
        if node in self._exact:
            return self.requantized(self._exact[node], target, user, name, source=node)
        if isinstance(node.op, core.Input) and is_float(node):
            return self._entering(node, target, user, name)
        if isinstance(node.op, core.Parameter):
            return self._constant(node, target)
        if isinstance(node.op, nn.Embedding):
            return rows(node, self, target)
        if isinstance(node.op, QuantizedOp) or not keeps_values(node.op) or not node.inputs:
            return self.requantized(self.exact(node), target, user, name, source=node)
        if is_relu(node.op):
            return self.cast(node.inputs[0], target.clipped(low=Fraction(0)), user, node.name)
        return self.mover.moved(node, lambda operand: self.cast(operand, target, user, name))

    def requantized(
        self, value: Value, target: Target, user: Node, name: str, source: Node | None = None
    ) -> Value:
        """A value as codes of a target; the value itself if it is that already.

        Args:
            value: the value.
            target: the codes that are wanted.
            user: the quantized node that wants them.
            name: a wish for the name of a node that has to be added.
            source: the value in the quantized graph; None for one that only ``user`` knows.
        """
        found = requantization(value, target, prove=self._dyadic)
        if found.op is None:
            return value
        key = (value.node, found.op, tuple(found.roles), value.scaling)
        if key not in self._cast:
            scaling, zero = Scaling.of(target.scale), target.zero_point
            made = self.emit(
                user, found.op, value, scaling=scaling, zero_point=zero, roles=found.roles, name=name
            )
            self._cast[key] = made
            if found.proof is not None:
                seen = source is not None and not stays_wide(source)
                self._proved(made.node, user, found.proof.of_none() if seen else found.proof)
        return self._cast[key]

    def _proved(self, made: Node, user: Node, proof: RoundsAlike) -> None:
        """Keep what is proved of a requantization, and say what is not."""
        made.meta.set(proof)
        self.ctx.stat("requantizations proved" if not proof.doubtful else "requantizations not proved")
        if proof.doubtful:
            channels = ", ".join(map(str, proof.doubtful[:8])) + ", ..." * (len(proof.doubtful) > 8)
            self.ctx.note(
                f"it is not proved that channels {channels} round as in the quantized graph: they meet ties, "
                "or the caller sees their values in float32",
                user,
            )

    def _entering(self, node: Node, target: Target, user: Node, name: str) -> Value:
        """A float input, quantized; or an input that is given as codes."""
        whole = replace(target, min=target.format.code_min, max=target.format.code_max)
        key = ("input", node, whole)
        if key not in self._cast:
            self._cast[key] = self._quantize(node, whole)
        return self.requantized(self._cast[key], target, user, name)

    def _quantize(self, node: Node, target: Target) -> Value:
        entry, scaling = self._plain[node], Scaling.of(target.scale)
        if self.boundary == "float":
            keys = {role: self.constants.given(role, key) for role, key in target.keys}
            op = Quantize(format=target.format)
            made = self.new.add(op, entry, params=keys, name=f"{node.name}_codes", like=node)
        else:
            made = entry
            if not is_float(entry):
                raise self.fault(
                    node, "is quantized in two ways, so it has no codes of its own", "boundary=float"
                )
            entry.type = TensorType(target.code, entry.tensor_type.shape)
        return self.annotated(Value(made, scaling, target.zero_point, target.range))

    def given(self, target: Target) -> dict[str, Tensor]:
        """The scale and the zero point of an ``int<W>``, by role."""
        found = {role: self.old.state[key] for role, key in target.keys}
        return found | {role: positive(scale) for role, scale in found.items() if role == "scale"}

    def _constant(self, node: Node, target: Target) -> Value:
        given = self.given(target)
        codes = codes_of(self.old.state[node.params["value"]], target.format, **given)
        codes = codes.clamp(target.min, target.max)
        return self.emit(
            node,
            Constant(format=target.code),
            scaling=Scaling.of(target.scale),
            zero_point=target.zero_point,
            roles={"value": (codes, target.code)},
        )

    # -- what is no tensor of floats, and results -------------------------------------------

    def plain(self, node: Node) -> Node:
        """A value that holds no floats (sizes, indices, masks), copied into the integer graph."""
        if node not in self._plain:
            if node in self._exact:
                return self._exact[node].node
            if is_float(node):
                return self.exact(node).node
            self._plain[node] = self.new.add(
                node.op,
                *(self.plain(n) for n in node.inputs),
                params={role: self.constants.kept(key) for role, key in node.params.items()},
                type=node.type,
                name=node.name,
                like=node,
            )
        return self._plain[node]

    def _output(self, node: Node) -> Node:
        if not is_float(node) or isinstance(node.op, core.Input):
            return self.plain(node)
        value = self.exact(node)
        if self.boundary == "codes":
            return value.node
        quantity, dtype = value.node.meta[Quantity], node.tensor_type.format
        op = Dequantize(
            scale=1.0 if quantity.scale is None else quantity.scale,
            axis=quantity.axis,
            zero_point=value.zero_point,
            dtype=dtype,  # type: ignore[arg-type]
        )
        params = {"scales": quantity.scales} if quantity.scales else {}
        return self.new.add(op, value.node, params=params, name=f"{node.name}_real", like=node)


def _island(node: Node) -> tuple[str, str]:
    if isinstance(node.op, core.Input):
        return (
            "reaches an output, or an op in float, before anything quantizes it",
            "quantize what takes it: let a rule give that a format",
        )
    what = f"{called_name(node.op)} computes" if isinstance(node.op, Call) else "computes"
    return (
        f"{what} in float between quantized ops",
        "let a rule of quantize give it a format, or remove it; `report` says why it was left in float",
    )
