"""Layers that multiply by weights: linear, sequence linear, convolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Fixed
from mase.ir.ops import conv, nn
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.hls.layout import arranged, window_sizes
from mase.runtime.hls.network import Value
from mase.runtime.hls.numbers import Range
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.site import Site
from mase.runtime.hls.weights import Weights

__all__ = ["Windows", "channels_first", "convolution", "convolved", "dense", "depthwise", "linear"]


@to_hls.register(nn.Linear)
def linear(op: nn.Linear, site: Site) -> Value:
    """``data_in @ weight.T + bias``."""
    return dense(site, site.operand(), *_parameters(site))


def dense(site: Site, x: Value, weight: Weights, bias: Weights | None) -> Value:
    """``Dense``; over the last dimension of more than one, a convolution with kernel 1."""
    outputs = len(weight.codes)
    sums = _sums(site, x.numbers, weight, bias)
    if x.places.ndim == 1:
        return site.add(
            "Dense",
            [_flat(site, x)],
            (outputs,),
            sums,
            n_in=math.prod(x.shape),
            n_out=outputs,
            **_weights(sums, _by_place(weight, x), bias),
        )
    *lead, features = x.places.shape
    rows = math.prod(lead)
    x = arranged(site, x, shape=(rows, features))
    kernel = Weights(weight.codes.T[None], weight.frac)
    made = site.add(
        "Conv1D",
        [x],
        (rows, outputs),
        sums,
        n_chan=features,
        n_filt=outputs,
        filt_width=1,
        stride_width=1,
        **window_sizes((rows,), (rows,), [(0, 0)]),
        **_weights(sums, kernel, bias),
    )
    return Value(made.layer, made.shape, made.places.reshape(*lead, outputs), sums)


def _flat(site: Site, x: Value) -> Value:
    """All elements of the layer behind a value, as a vector."""
    whole = Value(x.layer, x.shape, np.arange(math.prod(x.shape)).reshape(x.shape), x.numbers)
    return arranged(site, whole, shape=(math.prod(x.shape),))


def _by_place(weight: Weights, x: Value) -> Weights:
    """The weights, ``[in, out]``, of the layer's elements instead of the value's."""
    if (x.places < 0).any():
        raise UnfitError("its operand is padded", "pad before the values are flattened")
    moved = np.zeros((math.prod(x.shape), len(weight.codes)), np.int64)
    np.add.at(moved, x.places, weight.codes.T)
    return Weights(moved, weight.frac)


@to_hls.register(conv.Conv1d, conv.Conv2d)
def conv_layer(op: conv.Conv, site: Site) -> Value:
    """A convolution with the weights of the graph."""
    return convolved(op, site, site.operand(), *_parameters(site))


def convolved(op: conv.Conv, site: Site, x: Value, weight: Weights, bias: Weights | None) -> Value:
    """``Conv1D``, ``Conv2D``, or their depthwise forms; dilated kernels and groups are filled with zeros."""
    if op.padding_mode != "zeros":
        raise UnfitError(f"padding by {op.padding_mode} is not known to hls4ml", "pad with zeros")
    windows = Windows(op.stride, op.padding, site.runner.shape(site.node)[2:])
    spread = Weights(_dilated(weight.codes, op.dilation), weight.frac)
    numbers = x.numbers.with_zero() if any(map(any, op.padding)) else x.numbers
    sums = _sums(site, numbers, spread, bias)
    if op.groups > 1 and op.groups == x.places.shape[0]:
        return depthwise(site, x, spread, bias, sums, windows)
    return convolution(site, x, _ungrouped(spread, op.groups), bias, sums, windows)


@dataclass(frozen=True)
class Windows:
    """Where a convolution looks, by spatial dimension.

    Args:
        stride: its steps.
        padding: zeros before and after.
        sizes: those of its result.
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]


def depthwise(
    site: Site,
    x: Value,
    weight: Weights,
    bias: Weights | None,
    sums: Range,
    windows: Windows,
) -> Value:
    """A convolution of each channel by itself, with weights ``[channels * multiplier, 1, *kernel]``."""
    channels = x.places.shape[0]
    multiplier = len(weight.codes) // channels
    known = len(windows.sizes) == site.dimensions and multiplier == 1 and site.options.backend != "Quartus"
    if not known:
        full = _ungrouped(weight, channels)
        return convolution(site, x, full, bias, sums, windows)
    codes = weight.codes.reshape(channels, multiplier, *weight.codes.shape[2:])
    kernel = Weights(np.moveaxis(codes, (0, 1), (-2, -1)), weight.frac)
    found = _weights(sums, kernel, bias)
    found["depthwise_data"] = found.pop("weight_data")
    outputs = multiplier * channels
    return _convolving(site, "Depthwise", x, found, sums, windows, outputs, depth_multiplier=multiplier)


def convolution(
    site: Site,
    x: Value,
    weight: Weights,
    bias: Weights | None,
    sums: Range,
    windows: Windows,
) -> Value:
    """A convolution over all channels, with weights ``[outputs, channels, *kernel]``."""
    kernel = Weights(np.moveaxis(weight.codes, (0, 1), (-1, -2)), weight.frac)
    found = _weights(sums, kernel, bias)
    return _convolving(site, "", x, found, sums, windows, len(weight.codes))


def _convolving(
    site: Site,
    kind: str,
    x: Value,
    weights: dict[str, Any],
    sums: Range,
    windows: Windows,
    outputs: int,
    **more: Any,
) -> Value:
    channels, *before = x.places.shape
    rank = len(before)
    x = arranged(site, x, axes=(*range(1, rank + 1), 0))
    names = ("height", "width")[-rank:]
    data = weights.get("weight_data", weights.get("depthwise_data"))
    assert data is not None
    more |= {f"filt_{name}": int(n) for name, n in zip(names, data.shape, strict=False)}
    more |= {f"stride_{name}": int(n) for name, n in zip(names, windows.stride, strict=True)}
    made = site.add(
        f"{kind}Conv{rank}D",
        [x],
        (*windows.sizes, outputs),
        sums,
        n_chan=channels,
        n_filt=outputs,
        **window_sizes(before, windows.sizes, windows.padding),
        **more,
        **weights,
    )
    return channels_first(made)


def channels_first(value: Value) -> Value:
    """A value as the model has it, of a layer whose channels come last."""
    return Value(value.layer, value.shape, np.moveaxis(value.places, -1, 0), value.numbers)


def _dilated(codes: NDArray[np.int64], dilation: tuple[int, ...]) -> NDArray[np.int64]:
    """A kernel with zeros between its weights."""
    kernel = [(k - 1) * d + 1 for k, d in zip(codes.shape[2:], dilation, strict=True)]
    made = np.zeros((*codes.shape[:2], *kernel), np.int64)
    made[(..., *(slice(None, None, d) for d in dilation))] = codes
    return made


def _ungrouped(weight: Weights, groups: int) -> Weights:
    """Weights of all channels, zeros for those of other groups."""
    if groups == 1:
        return weight
    outputs, inner, *kernel = weight.codes.shape
    made = np.zeros((outputs, inner * groups, *kernel), np.int64)
    each = outputs // groups
    for g in range(groups):
        made[g * each : (g + 1) * each, g * inner : (g + 1) * inner] = weight.codes[g * each : (g + 1) * each]
    return Weights(made, weight.frac)


def _parameters(site: Site) -> tuple[Weights, Weights | None]:
    """The weight, and the bias in units that the products have."""
    op = site.node.op
    if not isinstance(op, QuantizedOp) or op.formats.get("weight") is None:
        raise UnfitError("its weights are floats", "quantize it, or leave it to the host")
    weight, bias = site.parameter("weight"), site.parameter("bias")
    assert weight is not None
    fixed = {role: f.frac for role, f in op.formats.items() if isinstance(f, Fixed)}
    if bias is not None and len(fixed) == len(op.formats):
        bias = _rounded(bias, fixed["data_in"] + fixed["weight"])
    return weight, bias


def _rounded(bias: Weights, frac: int) -> Weights:
    """A bias without the bits that products do not have, half to even."""
    if bias.frac <= frac:
        return bias
    return Weights(np.rint(np.ldexp(bias.codes.astype(np.float64), frac - bias.frac)).astype(np.int64), frac)


def _sums(site: Site, numbers: Range, weight: Weights, bias: Weights | None) -> Range:
    """What the layer gives, by the largest sums that its weights make."""
    sums = numbers.sums(weight.codes.reshape(len(weight.codes), -1), weight.frac)
    if bias is not None:
        sums = sums.plus(Range.among(bias.codes, bias.frac))
    floats = isinstance(site.node.op, QuantizedOp) and site.node.op.family != "integer"
    if floats and sums.bits > 24:
        raise UnfitError(
            f"the model sums {sums.bits} bits in float32", "quantize to fixed<W,F>, which is exact"
        )
    return sums


def _weights(sums: Range, weight: Weights, bias: Weights | None) -> dict[str, Any]:
    """The attributes and types of a layer with weights."""
    types = {"accum": str(sums), "weight": weight.type}
    types |= {"bias": bias.type} if bias is not None else {}
    data = {"weight_data": weight.values, "bias_data": None if bias is None else bias.values}
    return {"types": types, **data}
