"""A quantized graph as a network of hls4ml's layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mase.ir import Dtype, Graph, MaseError, Node, TensorType, TupleType
from mase.ir.diagnostics import Diagnostic
from mase.ir.ops import conv, core, exact, norm, pool
from mase.ir.ops.quantized import QuantizedOp, float_op
from mase.runtime.hls.network import Layer, Value
from mase.runtime.hls.options import HlsOptions
from mase.runtime.hls.ports import Port, input_port, output_scales
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.runner import Runner
from mase.runtime.hls.site import Site
from mase.runtime.hls.weights import fixed_format

__all__ = ["Network", "print_network"]

_IMAGES = (
    *(conv.Conv, pool.MaxPool, pool.AvgPool, pool.AdaptivePool, norm.BatchNorm),
    *(exact.Conv1d, exact.Conv2d, exact.WindowSum),
)


@dataclass(frozen=True)
class Network:
    """What is handed to hls4ml.

    Args:
        layers: in order; the first is the input.
        output: the value that the model gives.
        input_axes: the order in which the project takes the model's axes, without the batch.
        output_shape: the model's own.
        port: how the input comes.
        values: of nodes, as the layers that give them can show them.
        scales: what the host multiplies the output by, see `output_scales`.
    """

    layers: list[Layer]
    output: Value
    input_axes: tuple[int, ...]
    output_shape: tuple[int, ...]
    port: Port
    values: dict[str, Value]
    scales: dict[str, float | list[float]] | None


def _check_ends(graph: Graph) -> None:
    """A project has one input, of numbers, and one output.

    Raises:
        MaseError: naming the first node beyond that, or the input that holds indices.
    """
    beyond = [*graph.inputs[1:], *graph.outputs[1:]]
    if beyond:
        raise MaseError([beyond[0].fault("a project for hls4ml has one input and one output", _PARTS)])
    entry = graph.inputs[0]
    format = entry.tensor_type.format
    if isinstance(format, Dtype) and not format.is_float:
        raise MaseError([entry.fault(f"it holds {format}, and a circuit of hls4ml takes numbers", _PARTS)])


_PARTS = "export a part of the model, and leave the rest to the host"


def print_network(graph: Graph, options: HlsOptions) -> Network:
    """Print a graph node by node.

    Args:
        graph: of level ``quantized`` or ``integer``, with one input and one output.
        options: the hardware.

    Raises:
        MaseError: naming every node that has no exact form, with the reason.
    """
    _check_ends(graph)
    runner, port = Runner(graph), _port(graph.inputs[0])
    orders = _input_axes(graph.inputs[0])
    found = [_print(graph, options, runner, port, axes) for axes in orders]
    return min(found, key=lambda network: sum(layer.kind == "Transpose" for layer in network.layers))


def _print(graph: Graph, options: HlsOptions, runner: Runner, port: Port, axes: tuple[int, ...]) -> Network:
    """Print a graph whose input comes with its axes in a given order."""
    layers, values, made = dict[str, Layer](), dict[Node, Value](), dict[str, Value]()
    faults: list[Diagnostic] = []
    (source,) = graph.inputs
    for node in graph.nodes:
        if node is not source and not (_computes(node) and all(n in values for n in _tensors(node))):
            continue
        known, site = set(layers), Site(node, values, layers, runner, options)
        try:
            value = values[node] = _input(site, port, axes) if node is source else _printed(site)
        except UnfitError as unfit:
            faults.append(node.fault(unfit.reason, unfit.help))
            continue
        if node is not source and value.layer not in known and value.function is None:
            made[node.name] = value
    output = values.get(graph.outputs[0])
    if output is not None and output.function is not None:
        faults.append(_open_function(output.function))
    if faults or output is None:
        raise MaseError(faults or [Diagnostic("no layer computes the output")])
    return _network(graph, runner, port, axes, layers, output, made)


def _network(
    graph: Graph,
    runner: Runner,
    port: Port,
    axes: tuple[int, ...],
    layers: dict[str, Layer],
    output: Value,
    made: dict[str, Value],
) -> Network:
    """The network, where quantizers have become types of the layers before them."""
    gone = fuse(layers, output.layer)
    kept = [layer for layer in layers.values() if layer.name not in gone]
    output = replace(output, layer=gone.get(output.layer, output.layer))
    shape = runner.shape(graph.outputs[0])[1:]
    rounded = {*gone, *gone.values()}
    shown = {n: v for n, v in made.items() if v.layer not in rounded or v.layer == output.layer}
    return Network(kept, output, axes, shape, port, shown, output_scales(graph))


def _port(source: Node) -> Port:
    try:
        return input_port(source)
    except UnfitError as unfit:
        raise MaseError.of(f"input {source.name!r}: {unfit.reason}", help=unfit.help) from None


def _computes(node: Node) -> bool:
    """Whether a node is more than a size or a parameter."""
    return isinstance(node.type, TensorType | TupleType) and not isinstance(node.op, core.Parameter)


def _tensors(node: Node) -> list[Node]:
    return [n for n in node.inputs if _computes(n)]


def _printed(site: Site) -> Value:
    op = site.node.op
    rule = to_hls.find(type(float_op(op)))
    if rule is None:
        raise UnfitError("hls4ml has no exact form for it", "leave it to the host")
    value = rule(float_op(op), site)
    out = op.data_out if isinstance(op, QuantizedOp) else None
    return value if out is None else site.quantized(value, fixed_format(site.node, "data_out", out))


def _open_function(node: Node) -> Diagnostic:
    return Diagnostic(
        f"{node.op.name}: its results are floats",
        node=node.name,
        source=node.loc,
        help='give it a data_out, such as "fixed<8,7>", or leave it to the host',
    )


# -- the input ------------------------------------------------------------------------------


def _input(site: Site, port: Port, axes: tuple[int, ...]) -> Value:
    """The input in the format that all its readers round it to, so that its port has no more bits."""
    shape = site.runner.shape(site.node)[1:]
    sizes = tuple(shape[a] for a in axes)
    made = site.add("Input", [], sizes, port.numbers, result=port.type, input_shape=list(sizes))
    return Value(made.layer, sizes, made.places.transpose(np.argsort(axes)), port.numbers)


def _input_axes(source: Node) -> list[tuple[int, ...]]:
    """The orders of axes that the input may come in.

    Channels come last where windows of images or sequences are looked at, as hardware takes them, unless the
    model itself moves its axes so.
    """
    rank = source.tensor_type.rank - 1
    plain = tuple(range(rank))
    return [(*plain[1:], 0), plain] if rank > 1 and _meets_windows(source) else [plain]


def _meets_windows(value: Node) -> bool:
    for user in value.users:
        op = float_op(user.op)
        if isinstance(op, _IMAGES):
            return True
        same_rank = isinstance(user.type, TensorType) and user.type.rank == value.tensor_type.rank
        if same_rank and _meets_windows(user):
            return True
    return False


# -- quantizers in the layers before them ---------------------------------------------------

_CASTING = ("Dense", "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "Merge", "BatchNormalization")


def fuse(layers: dict[str, Layer], output: str) -> dict[str, str]:
    """Make quantizers the types of what the layers before them give.

    Args:
        layers: of the network.
        output: the one whose result the model gives.

    Returns:
        the layers that are gone, each with the one that does its work.
    """
    users: dict[str, list[Layer]] = {}
    for layer in layers.values():
        for name in layer.inputs:
            users.setdefault(name, []).append(layer)
    gone: dict[str, str] = {}
    for layer in layers.values():
        followers = users.get(layer.name, [])
        casts = layer.kind in _CASTING or layer.attributes.get("activation") == "relu"
        if not casts or layer.name == output or len(followers) != 1:
            continue
        if followers[0].attributes.get("activation") == "linear":
            layer.types["result"] = followers[0].types["result"]
            gone[followers[0].name] = layer.name
    for layer in layers.values():
        layer.inputs[:] = [gone.get(name, name) for name in layer.inputs]
    return gone
