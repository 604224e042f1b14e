"""The dialect ``int``, which ``legalize-casts`` makes: codes instead of the numbers that they stand for.

A requantization is a product with the very multiplier of the graph, rounded and saturated by the type of its
result. So scales of each channel, and scales that are no powers of two, are exact as well.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mase.ir import Fixed
from mase.ir.ops import exact
from mase.ir.ops.moves import is_view
from mase.runtime.hls.network import Value
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.rules.averages import summed, windows
from mase.runtime.hls.rules.elementwise import merged, scaled
from mase.runtime.hls.rules.products import convolved, dense
from mase.runtime.hls.site import Site
from mase.runtime.hls.tables import check_table, looked_up, operands_of
from mase.runtime.hls.weights import Weights, weights_of

__all__ = ["add", "contraction", "dequantize", "mul", "quantize", "requantize", "scale", "table"]


def _codes(site: Site, role: str) -> Weights | None:
    tensor = site.tensor(role)
    return None if tensor is None else weights_of(tensor, role)


def _symmetric(*zero_points: int) -> None:
    if any(zero_points):
        raise UnfitError("hls4ml has no zero points", "quantize to int<W>, without asym")


@to_hls.register(exact.Quantize)
def quantize(op: exact.Quantize, site: Site) -> Value:
    """The port: the host gives codes."""
    return site.operand()


@to_hls.register(exact.Dequantize)
def dequantize(op: exact.Dequantize, site: Site) -> Value:
    """The other port: the host multiplies by the scale."""
    _symmetric(op.zero_point)
    if any(not is_view(user.op) for user in site.node.users):
        raise UnfitError(
            "its floats are computed with, not only returned", "quantize them, or leave them to the host"
        )
    if site.tensor("scales") is not None and site.node.users:
        raise UnfitError("a view follows the scales of channels", "leave it to the host")
    return site.operand()


@to_hls.register(exact.Linear, exact.Conv1d, exact.Conv2d)
def contraction(op: exact.Linear | exact.Conv1d | exact.Conv2d, site: Site) -> Value:
    """``Dense`` and convolutions."""
    _symmetric(op.zero_point)
    x, weight, bias = site.operand(), _codes(site, "weight"), _codes(site, "bias")
    assert weight is not None
    if isinstance(op, exact.Linear):
        return dense(site, x, weight, bias)
    return convolved(op.float_op, site, x, weight, bias)


@to_hls.register(exact.Requantize)
def requantize(op: exact.Requantize, site: Site) -> Value:
    """A product with the multiplier, whose type rounds and saturates."""
    to = op.to
    _symmetric(to.zero_point, to.source_zero_point)
    multiplier, shift = site.tensor("multiplier"), site.tensor("shift")
    along = next((len(t) for t in (multiplier, shift) if t is not None), None)
    factors = _factors(multiplier, to.multiplier, along) * 2.0 ** -_factors(shift, to.shift, along)
    axis = None if along is None else op.axis % (site.operand().places.ndim + 1) - 1
    return scaled(site, site.operand(), weights_of(factors, "multiplier"), None, axis, _saturating(to))


def _factors(given: Tensor | None, one: int, along: int | None) -> np.ndarray:
    return np.full(along or 1, one, np.float64) if given is None else given.double().numpy()


def _saturating(to: exact.Requantization) -> Fixed:
    """The type that rounds and clips as a requantization does."""
    ends = (to.min, to.max)
    for signed, narrow in ((True, False), (True, True), (False, False)):
        width = max(to.max, 1).bit_length() + signed
        found = Fixed(width, 0, signed, narrow, to.rounding) if width > 1 or not narrow else None
        if found is not None and (found.code_min, found.code_max) == ends:
            return found
    raise UnfitError(f"no type of hls4ml clips to {ends}", "clip to all codes of a width")


@to_hls.register(exact.Add)
def add(op: exact.Add, site: Site) -> Value:
    """``Merge``, of operands brought to one scale."""
    _symmetric(op.zero_point, op.other_zero_point)
    x, y = site.operand(0), site.operand(1)
    x, y = (
        scaled(site, value, Weights(np.array([abs(factor)]), 0), None, None)
        for value, factor in ((x, op.factor), (y, op.other_factor))
    )
    if op.other_factor < 0:
        return merged(site, "subtract", x, y, x.numbers.minus(y.numbers))
    return merged(site, "add", x, y, x.numbers.plus(y.numbers))


@to_hls.register(exact.Mul)
def mul(op: exact.Mul, site: Site) -> Value:
    """``Merge``."""
    _symmetric(op.zero_point, op.other_zero_point)
    x, y = site.operand(0), site.operand(1)
    return merged(site, "multiply", x, y, x.numbers.times(y.numbers))


@to_hls.register(exact.Scale)
def scale(op: exact.Scale, site: Site) -> Value:
    """A product with a constant, or with one for each channel."""
    x, factors, bias = site.operand(), site.tensor("factors"), site.tensor("bias")
    along = _axis(x, factors, bias)
    one = np.array([op.factor], np.float64)
    by = weights_of(one if factors is None else factors.reshape(-1), "factors")
    plus = None if bias is None else weights_of(bias.reshape(-1), "bias")
    return scaled(site, x, by, plus, along)


def _axis(x: Value, *tensors: Tensor | None) -> int | None:
    """The axis that tensors run along which broadcast over a value; None if all are single numbers."""
    found: set[int] = set()
    for tensor in tensors:
        if tensor is not None and tensor.numel() > 1:
            found |= {i - tensor.dim() + x.places.ndim for i, size in enumerate(tensor.shape) if size > 1}
    if len(found) > 1 or min(found, default=0) < 0:
        raise UnfitError("its constants differ along more than one dimension", "let them differ by channel")
    return next(iter(found), None)


@to_hls.register(exact.Sum)
def sum_of(op: exact.Sum, site: Site) -> Value:
    """Sums over dimensions."""
    _symmetric(op.zero_point)
    return summed(site, site.operand(), op.dims, Weights(np.ones(1, np.int64), 0))


@to_hls.register(exact.Table)
def table(op: exact.Table, site: Site) -> Value:
    """``UnaryLUT``."""
    x, entries = site.operand(), site.tensor("table")
    assert entries is not None
    check_table(site, x.numbers)
    at = (operands_of(x.numbers) - op.first).astype(np.int64).clip(0, len(entries) - 1)
    return looked_up(site, x, Weights(entries.long().numpy()[at], 0))


@to_hls.register(exact.WindowSum)
def window_sum(op: exact.WindowSum, site: Site) -> Value:
    """Sums of windows: a depthwise convolution with ones."""
    _symmetric(op.zero_point)
    one = Weights(np.ones(1, np.int64), 0)
    return windows(site, site.operand(), op.kernel, op.stride, op.padding, one)
