"""What hls4ml computes wrongly without a word, or by tables of its own that differ from the model."""

from __future__ import annotations

from mase.ir import Op
from mase.ir.ops import attention, conv, nn, norm, recurrent, tensor
from mase.runtime.hls.network import Value
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.site import Site

__all__ = ["refuse"]

_HOST = "leave it to the host"
_REASONS: dict[type[Op], tuple[str, str]] = {
    nn.Softmax: (
        "hls4ml approximates exponentials and their sum by tables of its own",
        "leave it to the host: the largest of its operands is the largest of its results",
    ),
    nn.LogSoftmax: ("hls4ml approximates exponentials and their sum by tables of its own", _HOST),
    nn.Embedding: ("indices are no fixed-point numbers", "look rows up on the host"),
    tensor.MatMul: ("hls4ml compiles products of two values, and computes them wrongly", _HOST),
    tensor.Div: ("hls4ml has no division", "multiply by the reciprocal of what is constant"),
    attention.Attention: ("hls4ml has no exact softmax, and no products of two values", _HOST),
    norm.LayerNorm: ("hls4ml approximates the root by a table of its own", _HOST),
    norm.RmsNorm: ("hls4ml has no root", _HOST),
    conv.Conv3d: ("hls4ml convolves over one or two dimensions", _HOST),
    conv.ConvTranspose: ("hls4ml has no transposed convolutions", "upsample, then convolve"),
    recurrent.Recurrent: (
        "hls4ml computes gates by tables of its own, and in types that the model does not have",
        "a convolution over time is exact",
    ),
}


@to_hls.register(*_REASONS)
def refuse(op: Op, site: Site) -> Value:
    """Say why."""
    reason, help = next(_REASONS[cls] for cls in type(op).__mro__ if cls in _REASONS)
    raise UnfitError(reason, help)
