"""Batch norms written by hand count their batches in a call of its own; here it joins its batch norm."""

from __future__ import annotations

from mase.ir.graph import Graph, Node
from mase.ir.ops import core
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.torch import Call

__all__ = ["fuse_batch_counters"]

_ROLE = "num_batches_tracked"


def fuse_batch_counters(graph: Graph) -> None:
    """Make ``num_batches_tracked += 1`` a role of the batch norm in the same module.

    As a call of its own it would count in eval mode too.
    """
    norms = {norm.scope: norm for norm in graph.find(BatchNorm) if _ROLE not in norm.params}
    for node in graph.find(Call):
        key = _counted(node)
        norm = norms.get(node.scope)
        if (
            key is None
            or norm is None
            or any(user is not node for user in node.inputs[0].users)
            or node.users
        ):
            continue
        counter = node.inputs[0]
        norm.params = {**norm.params, _ROLE: key}
        graph.erase(node)
        graph.erase(counter)


def _counted(node: Node) -> str | None:
    """The state key that a call adds one to."""
    if not (isinstance(node.op, Call) and node.op.target == "aten.add_.Tensor"):
        return None
    counter = node.inputs[0]
    adds_one = str(node.op.args) == "(%0, 1)"
    key = counter.params.get("value", "") if isinstance(counter.op, core.Parameter) else ""
    return key if adds_one and key.endswith(_ROLE) else None
