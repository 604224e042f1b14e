"""``pack``: store the weights of quantized ops as codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mase.ir.format import Format
from mase.ir.graph import Graph, Node
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.context import Context
from mase.passes.registry import register_pass

if TYPE_CHECKING:
    from torch import Tensor, fx

__all__ = ["pack"]


@register_pass("pack", requires=("quantized",), ensures="quantized")
def pack(graph: Graph, ctx: Context) -> None:
    """Round the weights of quantized ops to their formats, and let files hold their codes.

    The graph computes the same numbers, for its ops would round these weights anyway. A file takes
    as many bits for each weight as its format has: 4-bit weights an eighth of float32. The float
    weights that training goes on from are lost, so this is the last step before shipping; training
    a packed graph starts from the rounded weights.

    Args:
        graph: the graph.
        ctx: the context of the run.
    """
    from mase.runtime.storage import is_packable

    lowered = ctx.lower(graph)
    calls = {n.name: n for n in lowered.graph.nodes}
    for key, users in _weights(graph).items():
        (node, role, format), *others = users
        scales = _scales(node, role)
        unlike = any(other != format or not _equal(scales, _scales(n, r)) for n, r, other in others)
        if unlike or _is_seen_otherwise(graph, key, users):
            ctx.reject(node, f"weight {key!r} is also used in another format")
            continue
        if format is None:
            continue
        rounded = _rounded(lowered, calls[node.name], role, graph.state[key])
        if rounded is None or not is_packable(rounded, format, scales):
            ctx.reject(node, f"weight {key!r} does not come back from the codes of {format}")
            continue
        graph.state[key] = rounded
        graph.state.store_as(key, format, scales)
        ctx.stat("packed")


def _scales(node: Node, role: str) -> dict[str, Tensor]:
    """The scales that a weight is given, as parts of a file."""
    from mase.runtime.given_scales import given_scale

    found = given_scale(node, role)
    parts = {} if found is None else {"value": found.value, "zero_point": found.zero_point}
    return {part: tensor.clone() for part, tensor in parts.items() if tensor is not None}


def _equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(bool((some[p] == others[p]).all()) for p in some)


def _weights(graph: Graph) -> dict[str, list[tuple[Node, str, Format | None]]]:
    """The users of each weight that a quantized op rounds as it is, with the format that it rounds to."""
    found: dict[str, list[tuple[Node, str, Format | None]]] = {}
    for node in graph.nodes:
        for role, format in _formats(node.op):
            if role in node.params:
                found.setdefault(graph.state.resolve(node.params[role]), []).append((node, role, format))
    return found


def _formats(op: object) -> Iterator[tuple[str, Format | None]]:
    # Batch norm rounds the scale and shift that it computes, and a bias may be rounded further.
    if isinstance(op, QuantizedOp) and not isinstance(op.float_op, BatchNorm):
        yield from ((role, format) for role, format in op.formats.items() if role != "bias")


def _is_seen_otherwise(graph: Graph, key: str, users: list[tuple[Node, str, Format | None]]) -> bool:
    """Whether a node that does not round the weight uses it too."""
    known = {(node.name, role) for node, role, _ in users}
    return any(
        graph.state.resolve(k) == key and (node.name, role) not in known
        for node in graph.users_of(key)
        for role, k in node.params.items()
    )


def _rounded(lowered: fx.GraphModule, call: fx.Node, role: str, weight: Tensor) -> Tensor | None:
    """The weight as the node's module rounds it, if it rounds that to itself."""
    from mase.runtime.modules import QuantizedModule

    module = lowered.get_submodule(str(call.target)) if call.op == "call_module" else None
    if not isinstance(module, QuantizedModule):
        return None
    rounded = module.quantized(role, weight).detach()
    return rounded if bool((module.quantized(role, rounded) == rounded).all()) else None
