"""What is decided before a quantized graph is printed.

Which relus are left to quantizers, and which values are quantized before they move.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mase.ir import Fixed, Format, Graph, Node, TensorType
from mase.ir.formats import Integer
from mase.ir.ops import core, nn
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.ops.signs import never_negative
from mase.runtime.lowering.quantized import may_stay_wide
from mase.runtime.onnx.site import Sign

__all__ = ["Plan", "Use", "plan_of"]


@dataclass(frozen=True)
class Use:
    """A place where a value is quantized.

    Args:
        node: the quantized op.
        role: its operand.
        format: the operand's format.
    """

    node: Node
    role: str
    format: Format

    @property
    def operand(self) -> Node:
        """The value that the op takes there."""
        return next(n for role, n in self.node.named_inputs if role == self.role)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for uses that quantize alike."""
        params = self.node.params
        return self.format, params.get(f"{self.role}_scale"), params.get(f"{self.role}_zero_point")


@dataclass(frozen=True)
class Plan:
    """The decisions for a graph.

    Args:
        absorbed: relus that are not printed, for all that see their values quantize them, and an unsigned
            quantizer makes negative numbers 0.
        early: values that are only moved before they are quantized, all in one way: they are quantized
            where they arise, so that what moves is 8 bits wide.
    """

    absorbed: frozenset[Node] = frozenset()
    early: dict[Node, Use] = field(default_factory=dict[Node, Use])

    def floors(self, node: Node) -> bool:
        """Whether a value is still to lose its negative numbers, which it has lost in the graph."""
        while node not in self.absorbed:
            if not _moves(node):
                return False
            node = node.inputs[0]
        return True

    def sign(self, node: Node) -> Sign:
        """What is known of the sign of a value."""
        if self.floors(node):
            return "floor"
        return "positive" if never_negative(node) else "any"

    def altered(self, node: Node) -> bool:
        """Whether what is printed for a node is not the node's value."""
        while True:
            if node in self.absorbed:
                return True
            if not _moves(node):
                return False
            node = node.inputs[0]
            if node in self.early:
                return True


def plan_of(graph: Graph) -> Plan:
    """The plan for a quantized graph that is printed with quantizers that can floor."""
    absorbed = frozenset(n for n in graph.find(nn.Relu) if may_stay_wide(n) and _all_floor(n))
    early: dict[Node, Use] = {}
    for node in graph.nodes:
        if node in absorbed or keeps_values(node.op) or isinstance(node.op, core.Input | core.Parameter):
            continue
        if not isinstance(node.type, TensorType):
            continue  # a size tells where elements move
        moved = bool(node.users) and all(keeps_values(u.op) for u in node.users)
        if not (moved and may_stay_wide(node)):
            continue
        uses = list(_uses(node))
        alike = len({u.key for u in uses}) == 1 and len({_floors(u, absorbed) for u in uses}) == 1
        if alike and not _joined(node) and _static(uses[0].format):
            early[node] = uses[0]
    return Plan(absorbed, early)


def _moves(node: Node) -> bool:
    return keeps_values(node.op) and len(node.inputs) > 0


def _static(format: Format | None) -> bool:
    return isinstance(format, Fixed) or (isinstance(format, Integer) and format.reach == "tensor")


def _all_floor(relu: Node) -> bool:
    symmetric = all(
        isinstance(u.format, Fixed)
        or (isinstance(u.format, Integer) and not u.format.asym and u.format.channel is None)
        for u in _uses(relu)
    )
    return symmetric and not _joined(relu)


def _joined(node: Node) -> bool:
    """Whether a value meets others before it is quantized."""
    return any(
        keeps_values(u.op)
        and (len([i for i in u.inputs if i.type == node.type]) > 1 or _concat(u) or _joined(u))
        for u in node.users
    )


def _concat(node: Node) -> bool:
    return "concat" in node.op.name or "cat" in str(getattr(node.op, "target", ""))


def _uses(node: Node) -> list[Use]:
    """Where a value is quantized, moved or as it is."""
    found: list[Use] = []
    for user in node.users:
        if isinstance(user.op, QuantizedOp):
            formats = {role: user.op.formats.get(role) for role in user.roles_of(node)}
            found += [Use(user, role, format) for role, format in formats.items() if format is not None]
        elif keeps_values(user.op):
            found += _uses(user)
    return found


def _floors(use: Use, absorbed: frozenset[Node]) -> bool:
    return Plan(absorbed).floors(use.operand)
