"""Convolutions and transposed convolutions."""

from __future__ import annotations

from mase.ir.ops import conv
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.site import Site

__all__ = ["batched", "convolution", "emit_transposed", "padded", "squeezed", "transposed"]

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # torch's name: ONNX's


def batched(site: Site, value: str, spatial: int) -> str:
    """A value with a dimension for the batch, which torch lets one leave out."""
    return site.emit("Unsqueeze", value, site.ints(0)) if site.rank() == spatial + 1 else value


def squeezed(site: Site, value: str, spatial: int) -> str:
    """A result without the dimension that `batched` added."""
    return site.emit("Squeeze", value, site.ints(0)) if site.rank() == spatial + 1 else value


def padded(op: conv.Conv, site: Site, value: str) -> tuple[str, list[int]]:
    """A value, padded where convolutions of ONNX pad with zeros alone, and the padding left to them."""
    before, after = [low for low, _ in op.padding], [high for _, high in op.padding]
    if op.padding_mode == "zeros" or not any(before + after):
        return value, before + after
    around = site.ints(0, 0, *before, 0, 0, *after)
    return site.emit("Pad", value, around, mode=_MODES[op.padding_mode]), [0] * len(before + after)


@to_onnx.register(conv.Conv)
def convolution(op: conv.Conv, site: Site) -> str:
    """``nn.conv1d``, ``nn.conv2d`` and ``nn.conv3d``."""
    x, pads = padded(op, site, batched(site, site.input(0), op.spatial))
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
