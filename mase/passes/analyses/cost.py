"""``cost``: parameters, multiply-accumulates, bits moved, bit operations; an estimate of the hardware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mase.ir.annotations import register_annotation
from mase.ir.diagnostics import MaseError
from mase.ir.dim import Expr, size_of
from mase.ir.graph import Graph, Node
from mase.ir.ops.core import Input, Parameter
from mase.ir.ops.moves import is_view
from mase.ir.ops.nn import Embedding
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.types import TensorType, Type, symbols_of
from mase.passes.analyses.hardware.layers import Device, resources_of
from mase.passes.analyses.hardware.resources import Resources
from mase.passes.analyses.macs import is_counted, macs
from mase.passes.analyses.widths import operand_width, param_width, result_width
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["Cost", "cost", "cost_of", "total_cost"]


@register_annotation("cost")
class Cost:
    """What one call of a node, or of a whole graph, costs.

    Args:
        parameters: numbers in its weights; buffers do not count.
        weight_bits: bits that store them, by their formats.
        macs: multiply-accumulates: of linear layers, convolutions, matrix products, attention, ...
        bits_moved: bits of the operands and weights read and of the result written, by their formats.
        bit_ops: each multiply-accumulate times the widths of its two factors.
    """

    parameters: int = 0
    weight_bits: int = 0
    macs: int = 0
    bits_moved: int = 0
    bit_ops: int = 0


@register_pass("cost")
def cost(
    graph: Graph,
    ctx: Context,
    *,
    sizes: dict[str, int] | None = None,
    reuse_factor: int = 1,
    dsp: bool = True,
) -> None:
    """Annotate every node that costs anything with its `Cost`, and record the totals.

    With a symbolic batch the figures are those of one sample. A quantized operand counts with the
    width of its format; views move nothing; a table look-up reads the rows it needs.

    A quantized graph in fixed point or scaled integers also gets estimated `Resources` of a Xilinx device in
    which every node has its own circuit: look-up tables and DSP slices by a model fitted to what Yosys
    synthesises, block memories and cycles by the reuse factor. Run it before ``legalize-casts``, whose
    nodes are parts of such circuits.

    Args:
        graph: the graph.
        ctx: the context of the run.
        sizes: what symbolic dimensions stand for, such as ``{S=128}``; 1 for those not named.
        reuse_factor: products of one position that share a multiplier; 1 multiplies all at once, by
            constants.
        dsp: whether multipliers may take DSP slices.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core, nn
        >>> graph = Graph()
        >>> graph.state.declare("weight", parse_type("f32[10,4]"))
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,4]"))
        >>> y = graph.add(nn.Linear(), x, params={"weight": "weight"})
        >>> cost(graph, Context(graph))
        >>> y.meta[Cost]
        Cost(parameters=40, weight_bits=1280, macs=40, bits_moved=1728, bit_ops=40960)
    """
    if reuse_factor < 1:
        raise MaseError.of(f"reuse_factor is {reuse_factor}", help="use at least 1")
    values, device = _sizes(graph, ctx, sizes or {}), Device(reuse_factor=reuse_factor, dsp=dsp)
    estimates = graph.level == "quantized"
    area = Resources()
    for node in graph.nodes:
        own = cost_of(node, values)
        taken = resources_of(node, values, device) if estimates else None
        _annotate(node, Cost, own if own != Cost() else None)
        _annotate(node, Resources, taken)
        area += taken or Resources()
        if not is_counted(node):
            ctx.stat("not counted")
            ctx.note(f"the multiplications of {node.op.name} are not counted", node)
        elif estimates and taken is None and own != Cost() and not isinstance(node.op, Input | Parameter):
            ctx.note(f"no estimate of the hardware of {node.op.name}", node)
    totals = vars(total_cost(graph.nodes)) | (vars(area) if estimates else {})
    for name, value in totals.items():
        ctx.record(name.replace("_", " "), graph.level, value)


def _annotate(node: Node, kind: type[Cost | Resources], found: Cost | Resources | None) -> None:
    """Set an annotation, or drop what an earlier run left."""
    if found is None:
        node.meta.drop(kind)
    else:
        node.meta.set(found)


def cost_of(node: Node, sizes: Mapping[str, int]) -> Cost:
    """The cost of one node.

    Args:
        node: the node.
        sizes: the value of every symbolic dimension.
    """
    count = size_of(macs(node.op, node), sizes)
    keys = _weights([node])
    return Cost(
        parameters=sum(numel for numel, _ in keys.values()),
        weight_bits=sum(numel * width for numel, width in keys.values()),
        macs=count,
        bits_moved=_bits_moved(node, sizes),
        bit_ops=count * _factor_widths(node) if count else 0,
    )


def total_cost(nodes: Iterable[Node]) -> Cost:
    """The sum over the annotations of nodes; weights that several nodes share count once.

    Args:
        nodes: some nodes of a graph that `cost` has annotated, or all of them.
    """
    given = list(nodes)
    costs = [node.meta[Cost] for node in given if Cost in node.meta]
    keys = _weights(given)
    return Cost(
        parameters=sum(numel for numel, _ in keys.values()),
        weight_bits=sum(numel * width for numel, width in keys.values()),
        macs=sum(c.macs for c in costs),
        bits_moved=sum(c.bits_moved for c in costs),
        bit_ops=sum(c.bit_ops for c in costs),
    )


def _weights(nodes: Iterable[Node]) -> dict[str, tuple[int, int]]:
    """Elements and bits of each parameter of some nodes; the widest use counts."""
    found: dict[str, tuple[int, int]] = {}
    for node in nodes:
        state = node.graph.state
        for role, key in node.params.items():
            if state.entry(key).kind in ("parameter", "frozen"):
                own = size_of(state.entry(key).type.numel, {}), param_width(node, role)
                found[state.resolve(key)] = max(own, found.get(state.resolve(key), own))
    return found


# Evaluation does not read it.
_UNREAD = frozenset({"num_batches_tracked"})


def _bits_moved(node: Node, sizes: Mapping[str, int]) -> int:
    if isinstance(node.op, Input | Parameter) or is_view(node.op):
        return 0
    result = _numel(node.type, sizes)
    bits = result * result_width(node)
    bits += sum(_numel(n.type, sizes) * operand_width(node, i) for i, n in enumerate(node.inputs))
    float_op = node.op.base if isinstance(node.op, QuantizedOp) else type(node.op)
    for role, key in node.params.items():
        if role not in _UNREAD:
            whole = _numel(node.graph.state.entry(key).type, sizes)
            bits += (result if issubclass(float_op, Embedding) else whole) * param_width(node, role)
    return bits


def _factor_widths(node: Node) -> int:
    """The product of the widths of what is multiplied: operand and weight, or two operands."""
    weight = next((role for role in node.params if role.startswith("weight")), None)
    if weight is not None:  # a recurrent net has several, all of one width
        return operand_width(node, 0) * param_width(node, weight)
    return operand_width(node, 0) * operand_width(node, min(1, len(node.inputs) - 1))


def _numel(type: Type, sizes: Mapping[str, int]) -> int:
    return size_of(type.numel, sizes) if isinstance(type, TensorType) else 0


def _sizes(graph: Graph, ctx: Context, given: Mapping[str, int]) -> dict[str, int]:
    """A value for every symbol; says which were taken as 1 although they are no batch."""
    symbols = {s for node in graph.nodes for s in symbols_of(node.type)}
    batch = {
        s
        for node in graph.inputs
        if isinstance(node.type, TensorType)
        for d in node.type.shape[:1]
        if isinstance(d, Expr)
        for s in d.symbols
    }
    known = ", ".join(sorted(symbols)) or "none"
    for name in sorted(given.keys() - symbols):
        ctx.warn(f"no dimension is called {name!r}", help=f"the graph has {known}")
    for name in sorted(symbols - batch - given.keys()):
        ctx.note(f"dimension {name} counts as 1", help=f"say how large it is: cost{{sizes={{{name}=128}}}}")
    return dict.fromkeys(symbols, 1) | dict(given)
