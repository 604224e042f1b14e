"""What each kind of op takes: processing elements for the terms that one cycle sums, requantizers, memories.

A layer works position by position (pixels, tokens); of the products of one position, ``reuse_factor`` share
a multiplier, as hls4ml defines it. With a factor of 1 the weights are constants of the fabric, otherwise
they lie in a memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mase.ir.dim import size_of
from mase.ir.formats import Fixed
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import conv, nn, norm, pool, tensor
from mase.ir.ops.moves import is_view
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.types import TensorType
from mase.passes.analyses.hardware.fabric import Circuit, dsp_slices, luts
from mase.passes.analyses.hardware.resources import Resources
from mase.passes.analyses.widths import operand_width, param_width

__all__ = ["Device", "resources_of"]

_LUT_RAM = 64  # bits that a look-up table stores
_BRAM = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))  # words and bits of a block
_ELEMENTWISE: dict[type[Op], Circuit] = {
    tensor.Add: "add",
    tensor.Sub: "add",
    nn.Relu: "relu",
    nn.Relu6: "max",
    nn.Hardtanh: "max",
    nn.LeakyRelu: "add",
}


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the estimate assumes.

    Args:
        reuse_factor: products of one position that share a multiplier.
        dsp: whether products of two variables may take DSP slices.
    """

    reuse_factor: int = 1
    dsp: bool = True


def resources_of(node: Node, sizes: Mapping[str, int], device: Device) -> Resources | None:
    """The resources of a node; None if they are not known.

    Args:
        node: a node whose operands are fixed point or scaled integers.
        sizes: the value of every symbolic dimension.
        device: what is assumed.
    """
    if not isinstance(node.op, QuantizedOp) or node.op.family not in ("integer", "scale_integer"):
        return None
    if any(node.op.formats.get(role) is None for role, _ in node.named_inputs):
        return None
    own = _work(node, sizes, device)
    return own and own + _requantizers(node, sizes, device)


def _work(node: Node, sizes: Mapping[str, int], device: Device) -> Resources | None:
    assert isinstance(node.op, QuantizedOp)
    base, result = node.op.base, node.tensor_type
    if issubclass(base, nn.Linear | conv.Conv):
        weight = node.graph.state.entry(node.params["weight"]).type
        positions = size_of(result.numel, sizes) // size_of(weight.shape[0], sizes)
        products = _products(size_of(weight.numel, sizes), positions, node, device, stored=True)
        return products + _line_buffer(node, weight, sizes)
    if issubclass(base, tensor.MatMul):
        columns = size_of(result.shape[-1], sizes)
        terms = size_of(node.inputs[0].tensor_type.shape[-1], sizes) * columns
        return _products(terms, size_of(result.numel, sizes) // columns, node, device, stored=False)
    channels, positions = _elements(node, sizes)
    lanes = math.ceil(channels / device.reuse_factor)
    cycles = positions * math.ceil(channels / lanes)
    width = max(operand_width(node, i) for i in range(len(node.inputs)))
    if issubclass(base, norm.BatchNorm) and "weight" in node.params:  # one product and sum a channel
        term = luts("constant", width, param_width(node, "weight"))
        return Resources(lut=_whole(lanes * term), cycles=cycles)
    if issubclass(base, tensor.Mul):
        return _multipliers(lanes, width, operand_width(node, 1), device) + Resources(cycles=cycles)
    if issubclass(base, pool.MaxPool2d | pool.MaxPool1d):
        window = math.prod(getattr(node.op, "kernel", (1,)))
        return Resources(lut=_whole((window - 1) * lanes * luts("max", width, width)), cycles=cycles)
    if base in _ELEMENTWISE:
        return Resources(lut=_whole(lanes * luts(_ELEMENTWISE[base], width, width)), cycles=cycles)
    return None


def _products(terms: int, positions: int, node: Node, device: Device, *, stored: bool) -> Resources:
    """Multipliers with their share of the adder tree, and the memory of their weights."""
    reuse = min(device.reuse_factor, max(terms, 1))
    lanes = math.ceil(terms / reuse)
    x = operand_width(node, 0)
    w = param_width(node, "weight") if stored else operand_width(node, 1)
    cycles = Resources(cycles=positions * reuse)
    if stored and reuse == 1:
        return cycles + Resources(lut=_whole(lanes * luts("constant", x, w)))
    return cycles + _multipliers(lanes, x, w, device) + (_memory(reuse, lanes * w) if stored else Resources())


def _multipliers(lanes: int, x: int, w: int, device: Device) -> Resources:
    slices = dsp_slices(x, w) if device.dsp else 0
    if slices:
        return Resources(dsp=_whole(lanes * slices))
    return Resources(lut=_whole(lanes * luts("variable", x, w)))


def _memory(words: int, bits: int) -> Resources:
    """A memory of so many words of so many bits: in look-up tables if it is shallow, else in blocks."""
    if words <= _LUT_RAM:
        return Resources(lut=math.ceil(bits * words / _LUT_RAM))
    return Resources(bram=min(math.ceil(bits / width) * math.ceil(words / depth) for depth, width in _BRAM))


def _line_buffer(node: Node, weight: TensorType, sizes: Mapping[str, int]) -> Resources:
    """The rows of the image that a convolution in two dimensions keeps, all but one of its kernel."""
    kernel = [size_of(d, sizes) for d in weight.shape[2:]]
    if len(kernel) != 2 or kernel[0] == 1:
        return Resources()
    shape = [size_of(d, sizes) for d in node.inputs[0].tensor_type.shape]
    return _memory(shape[-1], (kernel[0] - 1) * shape[1] * operand_width(node, 0))


def _requantizers(node: Node, sizes: Mapping[str, int], device: Device) -> Resources:
    """One requantizer for each channel that comes in a cycle, for operands that are not so narrow already."""
    assert isinstance(node.op, QuantizedOp)
    found = Resources()
    for i, source in enumerate(map(_producer, node.inputs)):
        if not isinstance(source.op, QuantizedOp) or source.op.data_out is not None:
            continue
        format = node.op.formats[node.op.schema().operand(i)]
        circuit: Circuit = "shift" if isinstance(format, Fixed) else "dyadic"
        channels, _ = _elements(source, sizes)
        lanes = math.ceil(channels / device.reuse_factor)
        found += Resources(lut=_whole(lanes * luts(circuit, _accumulator(source), operand_width(node, i))))
    return found


def _producer(node: Node) -> Node:
    """What computes a value that may have been seen differently since: flattened, transposed."""
    while is_view(node.op) and node.inputs:
        node = node.inputs[0]
    return node


def _accumulator(node: Node) -> int:
    """Bits of what a quantized op computes before anything rounds it (numerics: W_x + W_w + log2 K)."""
    x = operand_width(node, 0)
    if "weight" in node.params:
        weight = node.graph.state.entry(node.params["weight"]).type
        terms = size_of(weight.numel, {}) // max(size_of(weight.shape[0], {}), 1)
        return x + param_width(node, "weight") + math.ceil(math.log2(max(terms, 1))) + ("bias" in node.params)
    return max(operand_width(node, i) for i in range(len(node.inputs))) + (len(node.inputs) > 1)


def _elements(node: Node, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Channels of a position, and positions of a sample: the second dimension of an image, else the last."""
    shape = [size_of(d, sizes) for d in node.tensor_type.shape]
    channels = shape[1] if len(shape) == 4 else shape[-1] if shape else 1
    return channels, math.prod(shape) // max(channels, 1)


def _whole(count: float) -> int:
    return math.ceil(count - 1e-9)
