"""Averages: sums of windows times a fixed-point ``1/n``, as convolutions with that number."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from mase.ir.ops import pool, tensor
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.hls.layout import arranged
from mase.runtime.hls.network import Value
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.rules.products import Windows, depthwise
from mase.runtime.hls.site import Site
from mase.runtime.hls.weights import Weights
from mase.runtime.modules.average import Factor

__all__ = ["adaptive_pool", "avg_pool", "mean", "summed", "windows"]


@to_hls.register(pool.AvgPool1d, pool.AvgPool2d)
def avg_pool(op: pool.AvgPool, site: Site) -> Value:
    """A depthwise convolution."""
    return windows(site, site.operand(), op.kernel, op.stride, op.padding, _one_over_n(site))


@to_hls.register(pool.AdaptiveAvgPool1d, pool.AdaptiveAvgPool2d)
def adaptive_pool(op: pool.AdaptivePool, site: Site) -> Value:
    """The same, where all windows are alike."""
    x = site.operand()
    before, sizes = x.places.shape[1:], site.runner.shape(site.node)[2:]
    if any(a % b for a, b in zip(before, sizes, strict=True)):
        raise UnfitError(f"{before} pixels make {sizes} windows of unlike sizes", "use sizes that divide")
    kernel = tuple(a // b for a, b in zip(before, sizes, strict=True))
    return windows(site, x, kernel, kernel, (0,) * len(kernel), _one_over_n(site))


@to_hls.register(tensor.Mean)
def mean(op: tensor.Mean, site: Site) -> Value:
    """The same over a sequence of what is averaged."""
    return summed(site, site.operand(), op.dims, _one_over_n(site))


def summed(site: Site, x: Value, dims: tuple[int, ...] | None, weight: Weights) -> Value:
    """Sums over dimensions times one number: a window over a sequence whose channels are all else.

    Args:
        site: the node that wants it.
        x: the operand.
        dims: the dimensions, the batch included in their count; None for all.
        weight: the number.
    """
    rank = x.places.ndim
    gone = {d % (rank + 1) - 1 for d in (range(rank + 1) if dims is None else dims)}
    if -1 in gone:
        raise UnfitError("hardware does not sum over the batch", "leave the batch out")
    kept = [d for d in range(rank) if d not in gone]
    terms = math.prod(x.places.shape[d] for d in gone)
    rest = math.prod(x.places.shape[d] for d in kept)
    more = (1,) * (site.dimensions - 1)
    x = arranged(site, x, axes=(*sorted(gone), *kept), shape=(terms, *more, rest))
    x = Value(x.layer, x.shape, np.moveaxis(x.places, -1, 0), x.numbers)
    once = (1, *more)
    whole = Windows(once, tuple((0, 0) for _ in once), once)
    made = _depthwise(site, x, (terms, *more), weight, whole)
    shape = site.runner.shape(site.node)[1:]
    return Value(made.layer, made.shape, made.places.reshape(shape), made.numbers)


def windows(
    site: Site,
    x: Value,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    weight: Weights,
) -> Value:
    """Sums of windows times one number.

    Args:
        site: the node that wants it.
        x: the operand.
        kernel: the size of a window.
        stride: its steps.
        padding: zeros on either side.
        weight: the number.
    """
    sizes = site.runner.shape(site.node)[2:]
    reach = [n + 2 * p for n, p in zip(x.places.shape[1:], padding, strict=True)]
    if any((n - 1) * s + k > r for n, s, k, r in zip(sizes, stride, kernel, reach, strict=True)):
        raise UnfitError("windows that leave the image have a divisor of their own", "use ceil_mode=False")
    return _depthwise(site, x, kernel, weight, Windows(stride, tuple((p, p) for p in padding), sizes))


def _depthwise(site: Site, x: Value, kernel: tuple[int, ...], weight: Weights, windows: Windows) -> Value:
    channels = x.places.shape[0]
    full = Weights(np.full((channels, 1, *kernel), weight.codes[0], np.int64), weight.frac)
    sums = x.numbers.with_zero().sums(full.codes.reshape(channels, -1), full.frac)
    return depthwise(site, x, full, None, sums, windows)


def _one_over_n(site: Site) -> Weights:
    """The ``1/n`` of the model."""
    op = site.node.op
    if not isinstance(op, QuantizedOp) or op.family != "integer" or op.formats["data_in"] is None:
        raise UnfitError("the model averages in floats", "quantize its operand to fixed<W,F>")
    module = cast(Any, site.runner.module_of(site.node))
    found: Factor = module.factor(site.runner.shape(site.node.inputs[0]), op.formats["data_in"].bits)
    if len(found.codes) > 1:
        raise UnfitError("windows at the border have a divisor of their own", "use count_include_pad=True")
    code = next(iter(found.codes))
    zeros = (code & -code).bit_length() - 1
    return Weights(np.array([code >> zeros]), found.frac - zeros)
