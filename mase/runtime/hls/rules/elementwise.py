"""Sums, differences and products of two values, concatenations, and batch norms that are not folded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from mase.ir import Fixed
from mase.ir.ops import core, norm, tensor
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.hls.layout import arranged
from mase.runtime.hls.network import Value
from mase.runtime.hls.numbers import Range, type_of_format
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.site import Site
from mase.runtime.hls.weights import Weights, weights_of
from mase.runtime.modules.norm import affine

__all__ = ["batch_norm", "binary", "concat", "merged", "scaled", "together"]

_OPS: dict[type[tensor.Binary], tuple[str, Callable[[Range, Range], Range]]] = {
    tensor.Add: ("add", Range.plus),
    tensor.Sub: ("subtract", Range.minus),
    tensor.Mul: ("multiply", Range.times),
}


@to_hls.register(*_OPS)
def binary(op: tensor.Binary, site: Site) -> Value:
    """``Merge``: operands of unlike scales are aligned by their types."""
    if any(isinstance(n.op, core.Parameter) for n in site.node.inputs):
        raise UnfitError(
            "one operand is a parameter", "write it as a bias of the layer before, or as a batch norm"
        )
    name, combine = _OPS[type(op)]
    x, y = (site.operand(i) for i in range(2))
    numbers = combine(x.numbers, y.numbers)
    if numbers.bits > 24 and not (isinstance(site.node.op, QuantizedOp) and site.node.op.family == "integer"):
        raise UnfitError("the model rounds its result to float32", "quantize its operands to fixed<W,F>")
    return merged(site, name, x, y, numbers)


def merged(site: Site, name: str, x: Value, y: Value, numbers: Range) -> Value:
    """A function of two values of one shape, element by element."""
    if x.places.shape != y.places.shape:
        shapes = f"{x.places.shape} and {y.places.shape}"
        raise UnfitError(f"shapes {shapes} are unlike", "expand the smaller one")
    x, y, axes = together(site, (x, y))
    made = site.add("Merge", [x, y], x.shape, numbers, op=name)
    return Value(made.layer, made.shape, _undone(made.places, axes), numbers)


@to_hls.register(tensor.Concat)
def concat(op: tensor.Concat, site: Site) -> Value:
    """``Concatenate``, two values at a time."""
    *values, axes = together(site, [site.operand(i) for i in range(len(site.node.inputs))])
    rank = len(values[0].shape)
    if rank > 3:
        raise UnfitError("hls4ml joins up to three dimensions", "join fewer")
    axis = axes.index(op.dim % (rank + 1) - 1)
    made = values[0]
    for i, other in enumerate(values[1:]):
        shape = list(made.shape)
        shape[axis] += other.shape[axis]
        made = site.add(
            "Concatenate",
            [made, other],
            shape,
            made.numbers.hull(other.numbers),
            suffix=f"_{i}" if i else "",
            axis=axis + 1,
            op=f"concatenate{rank}d",
        )
    return Value(made.layer, made.shape, _undone(made.places, axes), made.numbers)


def together(site: Site, values: Sequence[Value]) -> tuple[Any, ...]:
    """Values whose layers give their elements in one order, and the order of the axes that this is."""
    rank = values[0].places.ndim
    plain, last = tuple(range(rank)), (*range(1, rank), 0)
    for axes in (plain, last):
        if all(_is_in_order(v, axes) for v in values):
            break
    else:
        axes = last if any(_is_in_order(v, last) for v in values) else plain
    return (*(arranged(site, v, axes) for v in values), axes)


def _is_in_order(value: Value, axes: Sequence[int]) -> bool:
    return np.array_equal(value.places.transpose(axes).reshape(-1), np.arange(np.prod(value.shape)))


def _undone(places: Any, axes: Sequence[int]) -> Any:
    return places.transpose(np.argsort(axes))


@to_hls.register(norm.BatchNorm)
def batch_norm(op: norm.BatchNorm, site: Site) -> Value:
    """``BatchNormalization`` by the quantized scale and shift of each channel."""
    own = site.node.op
    if not isinstance(own, QuantizedOp) or own.family != "integer" or None in own.formats.values():
        raise UnfitError("its scale and shift are floats", "fold-batchnorm puts it into the layer before")
    x, module = site.operand(), cast(Any, site.runner.module_of(site.node))
    mean, var = site.tensor("running_mean"), site.tensor("running_var")
    if mean is None or var is None:
        raise UnfitError("it normalises by the statistics of the batch", "use track_running_stats=True")
    scale, shift = affine(site.tensor("weight"), site.tensor("bias"), mean, var, op.eps)
    by = weights_of(module.quantized("weight", scale.detach()), "weight")
    most = x.numbers.frac + cast(Any, own.formats["weight"]).frac
    moved = module.quantized("bias", shift.detach())
    moved = weights_of(np.ldexp(1.0, -most) * (moved.double() * 2.0**most).round(), "bias")
    return scaled(site, x, by, moved, 0)


def scaled(
    site: Site,
    x: Value,
    by: Weights,
    plus: Weights | None,
    axis: int | None,
    result: Fixed | None = None,
) -> Value:
    """``x * by + plus``: ``BatchNormalization``, which hls4ml removes with its type if it changes no number.

    Args:
        site: the node that wants it.
        x: the operand.
        by: factors along ``axis``, or one.
        plus: what is added, likewise.
        axis: of the operand without the batch; None where there is one factor.
        result: what the sum is rounded to; it stays exact if absent.
    """
    if (by.values == 1).all() and (plus is None or not plus.codes.any()):
        return x if result is None else site.quantized(x, result)
    if axis is not None:
        axes = (*(i for i in range(x.places.ndim) if i != axis), axis)
        x = arranged(site, x, axes=axes)
    channels = x.shape[-1]
    zeros = Weights(np.zeros(1, np.int64), 0)
    factors, offsets = (np.resize(w.values, channels) for w in (by, plus or zeros))
    numbers = x.numbers.times(Range.among(by.codes, by.frac))
    numbers = numbers if plus is None else numbers.plus(Range.among(plus.codes, plus.frac))
    types = {"scale": by.type, "bias": (plus or zeros).type, "accum": str(numbers)}
    made = site.add(
        "BatchNormalization",
        [x],
        x.shape,
        numbers if result is None else Range.of(result),
        result=None if result is None else type_of_format(result),
        types=types,
        n_in=math.prod(x.shape),
        n_filt=channels if len(x.shape) > 1 else -1,
        scale_data=factors,
        bias_data=offsets,
    )
    places = x.places if axis is None else np.moveaxis(made.places, -1, axis)
    return Value(made.layer, made.shape, places, made.numbers)
