"""Tables, softmax, norms and rotary embeddings of integers, in int64."""

from __future__ import annotations

import numpy as np
import onnx
import torch

from mase.ir import BOOL, I64
from mase.ir.ops import exact
from mase.ir.ops.exact.softmax import POWER_BITS, RECIPROCAL_BITS
from mase.runtime.exact.roots import NEWTON_STEPS
from mase.runtime.exact.rounding import shifted
from mase.runtime.onnx.integers import carrier, centred, less
from mase.runtime.onnx.registry import to_onnx_exact
from mase.runtime.onnx.shifts import shift_right
from mase.runtime.onnx.site import Site

__all__ = ["norm", "rotary_embedding", "softmax", "table"]


@to_onnx_exact.register(exact.Table)
def table(op: exact.Table, site: Site) -> str:
    """``int.table``: a Gather."""
    entries = site.array("table").astype(carrier(site.result).torch_name)
    x = site.emit("Sub", site.cast(site.input(0), I64), site.number(op.first, I64))
    x = _clipped(site, x, 0, len(entries) - 1)
    return site.emit("Gather", site.constant(entries, "table"), x, axis=0)


@to_onnx_exact.register(exact.Softmax)
def softmax(op: exact.Softmax, site: Site) -> str:
    """``int.softmax``."""
    x, keep = _scores(op, site)
    if keep is not None:
        x = site.emit("Where", keep, x, site.number(-(2**62), I64))
    axis = site.ints(op.dim)
    below = site.emit("Sub", site.emit("ReduceMax", x, axis, keepdims=1), x)
    below = site.emit("Mul", _clipped(site, below, 0, op.limit), site.number(op.multiplier, I64))
    octaves = _divided(site, site.emit("Add", below, site.number(1 << (op.shift - 1), I64)), 1 << op.shift)
    powers = _powers(op, site, octaves)
    if keep is not None:
        powers = site.emit("Where", keep, powers, site.number(0, I64))
    total = _clipped(site, site.emit("ReduceSum", powers, axis, keepdims=1), 1, None)
    weights = site.emit("Mul", powers, _reciprocal(site, total, RECIPROCAL_BITS))
    out = op.format
    found = shift_right(site, weights, RECIPROCAL_BITS - out.frac, out.rounding)
    return site.cast(_clipped(site, found, None, out.code_max), carrier(site.result))


def _scores(op: exact.Softmax, site: Site) -> tuple[str, str | None]:
    """The scores, and which of them count; None if all do."""
    x, keep = site.cast(site.input(0), I64), None
    if len(site.inputs) > 1 and site.type(1).format == BOOL:
        keep = site.input(1)
    elif len(site.inputs) > 1:
        mask = site.cast(site.input(1), I64)
        added = site.emit("Mul", mask, site.number(op.mask_factor, I64))
        x = site.emit("Add", site.emit("Mul", x, site.number(op.score_factor, I64)), added)
        keep = site.emit("Greater", mask, site.number(op.mask_min, I64))
    if not op.causal:
        return x, keep
    ones = onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])
    square = site.emit("ConstantOfShape", site.builder.shape(site.type(0).shape[-2:]), value=ones)
    earlier = site.cast(site.emit("Trilu", square, upper=0), BOOL)
    return x, earlier if keep is None else site.emit("And", earlier, keep)


def _powers(op: exact.Softmax, site: Site, octaves: str) -> str:
    """A power of two for each distance: an entry of the table, halved once for each octave."""
    whole = _divided(site, octaves, 2**op.fraction)
    part = site.emit("Sub", octaves, site.emit("Mul", whole, site.number(2**op.fraction, I64)))
    entries = site.constant(np.array(op.table(), np.int64), "powers")
    halvings = site.constant(2 ** np.arange(POWER_BITS + 2, dtype=np.int64), "halvings")
    by = site.emit("Gather", halvings, _clipped(site, whole, None, POWER_BITS + 1), axis=0)
    return site.emit("Div", site.emit("Gather", entries, part, axis=0), by)


@to_onnx_exact.register(exact.Norm)
def norm(op: exact.Norm, site: Site) -> str:
    """``int.norm``."""
    x, axes = site.cast(site.input(0), I64), site.ints(*range(-op.dims, 0))
    x = less(site, x, op.zero_point, I64)
    count = site.number(op.count, I64)
    squares = site.emit("Mul", site.emit("ReduceSum", site.emit("Mul", x, x), axes, keepdims=1), count)
    scaled = site.emit("Mul", x, count)
    if op.centered:
        total = site.emit("ReduceSum", x, axes, keepdims=1)
        squares = site.emit("Sub", squares, site.emit("Mul", total, total))
        scaled = site.emit("Sub", scaled, total)
    squares = site.emit("Mul", squares, site.number(4**op.root_bits, I64))
    root = _square_root(site, site.emit("Add", squares, site.number(op.eps, I64)))
    one_over = _reciprocal(site, _clipped(site, root, 1, None), op.reciprocal_bits)
    left = op.reciprocal_bits - op.root_bits - op.frac
    return _affine(op, site, shift_right(site, site.emit("Mul", scaled, one_over), left, "half_even"))


def _affine(op: exact.Norm, site: Site, value: str) -> str:
    """Times the weight, plus the bias, in the format of the result."""
    frac, out = op.frac, op.format
    if site.has("weight"):
        value = site.emit("Mul", value, site.constant(site.array("weight").astype(np.int64), "weight"))
        frac += op.weight_frac or 0
    if site.has("bias"):
        aligned = shifted(site.tensor("bias").long(), min((op.bias_frac or 0) - frac, 62))
        value = site.emit("Add", value, site.constant(aligned.numpy(), "bias"))
    if frac >= out.frac:
        value = shift_right(site, value, frac - out.frac, out.rounding)
    else:
        left, largest = out.frac - frac, max(-out.code_min, out.code_max)
        value = _clipped(site, value, -(largest >> left) - 1, (largest >> left) + 1)
        value = site.emit("Mul", value, site.number(2**left, I64))
    return site.cast(_clipped(site, value, out.code_min, out.code_max), carrier(site.result))


def _square_root(site: Site, n: str) -> str:
    """Newton's iteration, as in `mase.runtime.exact.roots`."""
    powers = site.constant(4 ** np.arange(31, dtype=np.int64), "powers_of_four")
    starts = site.constant(2 ** np.arange(32, dtype=np.int64), "starts")
    longer = site.emit("GreaterOrEqual", site.emit("Unsqueeze", n, site.ints(-1)), powers)
    length = site.emit("ReduceSum", site.cast(longer, I64), site.ints(-1), keepdims=0)
    x = site.emit("Gather", starts, length, axis=0)
    for _ in range(NEWTON_STEPS):
        x = _clipped(site, _divided(site, site.emit("Add", x, site.emit("Div", n, x)), 2), 1, None)
    above = site.emit("Greater", site.emit("Mul", x, x), n)
    return site.emit("Sub", x, site.cast(above, I64))


def _reciprocal(site: Site, n: str, bits: int) -> str:
    return site.emit("Div", site.emit("Add", _divided(site, n, 2), site.number(2**bits, I64)), n)


def _divided(site: Site, value: str, by: int) -> str:
    """The quotient of a number that is not negative, rounded down."""
    return site.emit("Div", value, site.number(by, I64))


def _clipped(site: Site, value: str, low: int | None, high: int | None) -> str:
    ends = (None if end is None else site.number(end, I64) for end in (low, high))
    return site.emit("Clip", value, *ends)


@to_onnx_exact.register(exact.RotaryEmbedding)
def rotary_embedding(op: exact.RotaryEmbedding, site: Site) -> str:
    """``int.rotary_embedding``: the rotated features are gathered, and half of them negated."""
    x, dtype = centred(site, 0, op.zero_point), carrier(site.result).torch_name
    features = site.fixed(site.type(0).shape[-1:], "features")[0]
    places = torch.arange(features)
    if op.interleaved:
        order, negative = places + 1 - 2 * (places % 2), places % 2 == 0
    else:
        order, negative = (places + features // 2) % features, places < features // 2
    turned = site.emit("Gather", x, site.constant(order.numpy(), "order"), axis=-1)
    signs = site.constant(np.where(negative.numpy(), -op.sin_factor, op.sin_factor).astype(dtype), "signs")
    straight = site.emit("Mul", x, centred(site, 1, 0))
    if op.cos_factor != 1:
        straight = site.emit("Mul", straight, site.number(op.cos_factor, carrier(site.result)))
    return site.emit("Add", straight, site.emit("Mul", site.emit("Mul", turned, centred(site, 2, 0)), signs))
