"""Convolutions and transposed convolutions."""

from __future__ import annotations

from mase.ir.ops import conv
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.site import Site

__all__ = ["batched", "convolution", "emit_transposed", "squeezed", "transposed"]

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def batched(site: Site, value: str, spatial: int) -> str:
    """A value with a dimension for the batch, which torch lets one leave out."""
    return site.emit("Unsqueeze", value, site.ints(0)) if site.rank() == spatial + 1 else value


def squeezed(site: Site, value: str, spatial: int) -> str:
    """A result without the dimension that `batched` added."""
    return site.emit("Squeeze", value, site.ints(0)) if site.rank() == spatial + 1 else value


@to_onnx.register(conv.Conv)
def convolution(op: conv.Conv, site: Site) -> str:
    """``nn.conv1d``, ``nn.conv2d`` and ``nn.conv3d``."""
    x = batched(site, site.input(0), op.spatial)
    pads = [before for before, _ in op.padding] + [after for _, after in op.padding]
    if op.padding_mode != "zeros" and any(pads):
        around = [0, 0, *pads[: op.spatial], 0, 0, *pads[op.spatial :]]
        x = site.emit("Pad", x, site.ints(*around), mode=_MODES[op.padding_mode])
        pads = [0] * len(pads)
    weight, (bias, later) = site.tensor("weight"), site.bias(*[1] * op.spatial)
    result = site.emit(
        "Conv",
        x,
        site.param("weight"),
        bias,
        kernel_shape=list(weight.shape[2:]),
        strides=list(op.stride),
        pads=pads,
        dilations=list(op.dilation),
        group=op.groups,
    )
    result = result if later is None else site.emit("Add", result, later)
    return squeezed(site, result, op.spatial)


@to_onnx.register(conv.ConvTranspose)
def transposed(op: conv.ConvTranspose, site: Site) -> str:
    """``nn.conv_transpose1d``, ``nn.conv_transpose2d`` and ``nn.conv_transpose3d``."""
    x, (bias, later) = batched(site, site.input(0), op.spatial), site.bias(*[1] * op.spatial)
    result = emit_transposed(op, site, x, site.param("weight"), bias)
    result = result if later is None else site.emit("Add", result, later)
    return squeezed(site, result, op.spatial)


def emit_transposed(op: conv.ConvTranspose, site: Site, *operands: str | None) -> str:
    """ONNX's operator with the attributes of an op."""
    return site.emit(
        "ConvTranspose",
        *operands,
        kernel_shape=list(site.tensor("weight").shape[2:]),
        strides=list(op.stride),
        pads=list(op.padding) * 2,
        output_padding=list(op.output_padding),
        dilations=list(op.dilation),
        group=op.groups,
    )
