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
from mase.runtime.hls.rules.products import depthwise
from mase.runtime.hls.site import Site
from mase.runtime.hls.weights import Weights
from mase.runtime.modules.average import Factor

__all__ = ["adaptive_pool", "avg_pool", "mean"]


@to_hls.register(pool.AvgPool1d, pool.AvgPool2d)
def avg_pool(op: pool.AvgPool, site: Site) -> Value:
    """A depthwise convolution."""
    x = site.operand()
    sizes = site.runner.shape(site.node)[2:]
    reach = [n + 2 * p for n, p in zip(x.places.shape[1:], op.padding, strict=True)]
    if any((n - 1) * s + k > r for n, s, k, r in zip(sizes, op.stride, op.kernel, reach, strict=True)):
        raise UnfitError("windows that leave the image have a divisor of their own", "use ceil_mode=False")
    padding = tuple((p, p) for p in op.padding)
    return _averaged(site, x, op.kernel, op.stride, padding, sizes)


@to_hls.register(pool.AdaptiveAvgPool1d, pool.AdaptiveAvgPool2d)
def adaptive_pool(op: pool.AdaptivePool, site: Site) -> Value:
    """The same, where all windows are alike."""
    x = site.operand()
    before, sizes = x.places.shape[1:], site.runner.shape(site.node)[2:]
    if any(a % b for a, b in zip(before, sizes, strict=True)):
        raise UnfitError(f"{before} pixels make {sizes} windows of unlike sizes", "use sizes that divide")
    kernel = tuple(a // b for a, b in zip(before, sizes, strict=True))
    return _averaged(site, x, kernel, kernel, ((0, 0),) * len(kernel), sizes)


@to_hls.register(tensor.Mean)
def mean(op: tensor.Mean, site: Site) -> Value:
    """The same over a sequence of what is averaged, whose channels are all else."""
    x = site.operand()
    rank = x.places.ndim
    dims = {d % (rank + 1) - 1 for d in (range(rank + 1) if op.dims is None else op.dims)}
    if -1 in dims:
        raise UnfitError("a mean over the batch is no circuit", "leave the batch out")
    kept = [d for d in range(rank) if d not in dims]
    terms = math.prod(x.places.shape[d] for d in dims)
    rest = tuple(x.places.shape[d] for d in kept)
    x = arranged(site, x, axes=(*sorted(dims), *kept), shape=(terms, math.prod(rest)))
    x = Value(x.layer, x.shape, x.places.T, x.numbers)
    made = _averaged(site, x, (terms,), (1,), ((0, 0),), (1,))
    shape = site.runner.shape(site.node)[1:]
    return Value(made.layer, made.shape, made.places.reshape(shape), made.numbers)


def _averaged(
    site: Site,
    x: Value,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    sizes: tuple[int, ...],
) -> Value:
    factor = _factor(site)
    channels = x.places.shape[0]
    weight = Weights(np.full((channels, 1, *kernel), factor.codes[0], np.int64), factor.frac)
    zeros = (weight.codes.flat[0] & -weight.codes.flat[0]).item().bit_length() - 1
    weight = Weights(weight.codes >> zeros, weight.frac - zeros)
    sums = x.numbers.with_zero().sums(weight.codes.reshape(channels, -1), weight.frac)
    return depthwise(site, x, weight, None, sums, stride, padding, sizes)


def _factor(site: Site) -> Factor:
    """The ``1/n`` of the model."""
    op = site.node.op
    if not isinstance(op, QuantizedOp) or op.family != "integer" or op.formats["data_in"] is None:
        raise UnfitError("the model averages in floats", "quantize its operand to fixed<W,F>")
    module = cast(Any, site.runner.module_of(site.node))
    found: Factor = module.factor(site.runner.shape(site.node.inputs[0]), op.formats["data_in"].bits)
    if len(found.codes) > 1:
        raise UnfitError("windows at the border have a divisor of their own", "use count_include_pad=True")
    return found
