"""``fold-batchnorm``: merge batch norm into the layer that feeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mase.ir.graph import Node
from mase.ir.ops.conv import Conv, ConvTranspose
from mase.ir.ops.nn import Linear
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.analyses.cost import Cost
from mase.passes.analyses.statistics import ParamStatistics, Statistics
from mase.passes.registry import register_pass
from mase.passes.rewriter import Rewriter, rewrite
from mase.passes.transforms.dce import drop_unused_weights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FoldBatchnorm"]


@register_pass("fold-batchnorm", requires=("float",))
class FoldBatchnorm:
    """Merge every batch norm into the convolution or linear layer before it.

    In evaluation batch norm is ``x * scale + shift`` for each channel, which the layer's weight and
    bias can absorb; the graph computes the same numbers up to rounding (the weights are computed in
    float64 and rounded once). Training afterwards no longer updates running statistics. A batch norm
    that cannot be merged stays, and a note says why.
    """

    @rewrite(BatchNorm)
    def fold(self, node: Node, rewriter: Rewriter) -> None:
        """The layer computes what the batch norm did."""
        layer = node.inputs[0]
        if reason := _obstacle(node, layer):
            rewriter.reject(node, reason)
            rewriter.ctx.stat("left alone")
            return
        weight, bias = _folded(node, layer)
        state = rewriter.graph.state
        key = _bias_key(layer)
        state[layer.params["weight"]], state[key] = weight, bias
        layer.params = {**layer.params, "bias": key}
        _take_annotations(layer, node)
        keys = list(node.params.values())
        rewriter.forward(node, layer)
        drop_unused_weights(rewriter.graph, keys)
        rewriter.ctx.stat("folded")


def _obstacle(node: Node, layer: Node) -> str | None:
    """Why ``layer`` cannot absorb the batch norm ``node``, or None if it can."""
    graph, op = node.graph, layer.op
    if isinstance(op, QuantizedOp):
        return f"{layer.name!r} is quantized already; put fold-batchnorm before quantize"
    if not isinstance(op, Linear | Conv | ConvTranspose):
        return f"its operand {layer.name!r} ({op.name}) is no convolution or linear layer"
    if {"running_mean", "running_var"} - set(node.params):
        return "it has no running statistics, so it normalises by each batch"
    if len(layer.users) > 1 or any(n is layer for n in graph.outputs):
        return f"the value of {layer.name!r} is also used without the batch norm"
    channels = 1 if isinstance(op, Linear) else op.spatial + 1
    if layer.tensor_type.rank != channels + 1:
        return f"{layer.name!r} gives {layer.type}, whose dimension 1 is not its channels"
    if "bias" not in layer.params and _bias_key(layer) in graph.state:
        return f"{layer.name!r} has no bias, and the name {_bias_key(layer)!r} for one is taken"
    if others := _sharers(layer):
        return f"the weights of {layer.name!r} are also those of {', '.join(others)}"
    return None


def _sharers(layer: Node) -> list[str]:
    """The other nodes that use a weight of ``layer``, be it under another name."""
    users = (user for key in layer.params.values() for user in layer.graph.users_of(key))
    return [repr(user.name) for user in dict.fromkeys(users) if user is not layer]


def _folded(node: Node, layer: Node) -> tuple[Tensor, Tensor]:
    """The layer's weight and bias with the batch norm merged in, of the weight's dtype."""
    import torch

    assert isinstance(node.op, BatchNorm)
    state = layer.graph.state
    norm = {role: state[key].double() for role, key in node.params.items()}
    weight, mean, variance = state[layer.params["weight"]], norm["running_mean"], norm["running_var"]
    bias = state[layer.params["bias"]].double() if "bias" in layer.params else torch.zeros_like(mean)
    scale = norm.get("weight", torch.ones_like(mean)) / (variance + node.op.eps).sqrt()
    shift = norm.get("bias", torch.zeros_like(mean)) - mean * scale
    return _scaled(layer, weight.double(), scale).to(weight.dtype), (bias * scale + shift).to(weight.dtype)


def _scaled(layer: Node, weight: Tensor, scale: Tensor) -> Tensor:
    """``weight`` with each output channel multiplied by its ``scale``."""
    if not isinstance(layer.op, ConvTranspose):
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    # [in, out/groups, *kernel]: the output channels of group g belong to the g-th share of the inputs.
    groups = layer.op.groups
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    factors = scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return (grouped * factors).reshape(weight.shape)


def _bias_key(layer: Node) -> str:
    """The state key of the layer's bias, be it there or to be made."""
    return layer.params.get("bias") or (f"{layer.scope}.bias" if layer.scope else "bias")


def _take_annotations(layer: Node, node: Node) -> None:
    """The layer's value is now the batch norm's, and its weights are new."""
    layer.meta.drop(Statistics)
    layer.meta.update(node.meta)
    layer.meta.drop(ParamStatistics)
    layer.meta.drop(Cost)
