"""Legalization of averages: the exact sum, then a fixed-point ``1/n``, as in the quantized modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from mase.ir.formats import Fixed
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import exact, pool, tensor
from mase.ir.ops.exact import Code, Sum, WindowSum
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import FIT, Value
from mase.runtime.lowering import Source, to_module
from mase.runtime.modules.average import Average, Factor

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["average"]


@legalize.register(tensor.Mean, pool.AvgPool, pool.AdaptiveAvgPool1d, pool.AdaptiveAvgPool2d)
def average(node: Node, legal: Legalizer) -> Value:
    """Means over dimensions and over windows."""
    op = node.op
    assert isinstance(op, QuantizedOp)
    x, format = legal.operand(node, 0), op.formats["data_in"]
    shape = node.inputs[0].tensor_type.shape
    factor = _factor(node, legal, [d if isinstance(d, int) else None for d in shape])
    summed = _summed(node, legal, x, factor.terms)
    if isinstance(format, Fixed):
        scaling = x.scaling.mapped(lambda f: f / 2**factor.frac)
        if len(factor.codes) == 1:
            return legal.emit(node, exact.Scale(width=FIT, factor=factor.codes[0]), summed, scaling=scaling)
        factors = torch.tensor(factor.codes).view(factor.shape)
        return legal.emit(
            node, exact.Scale(width=FIT), summed, scaling=scaling, roles={"factors": (factors, None)}
        )
    # With a scale of its own a value needs no reciprocal: the scale of its sum is divided.
    if len(factor.codes) > 1:
        raise legal.fault(node, "averages windows of unlike sizes", "use fixed<W,F>, or count_include_pad")
    count = _count(op, factor)
    value = Value(summed.node, summed.scaling.mapped(lambda f: f / count), 0, summed.interval)
    return legal.annotated(value)


def _count(op: QuantizedOp, factor: Factor) -> int:
    """What the sums are divided by."""
    return getattr(op.float_op, "divisor_override", None) or factor.terms


def _factor(node: Node, legal: Legalizer, shape: list[int | None]) -> Factor:
    """The reciprocals that the quantized module multiplies by."""
    with torch.device("meta"):
        module = cast(Average, to_module(node.op, Source(node)))
    sizes = tuple(1 if d is None else d for d in shape)
    averaged = module.averaged(tuple(range(-len(sizes), 0)))
    if any(shape[d] is None for d in averaged):
        raise legal.fault(node, "averages over a size that varies", "capture it with a fixed size")
    format: Any = module.formats["data_in"]
    return module.factor(sizes, format.width)


def _summed(node: Node, legal: Legalizer, x: Value, terms: int) -> Value:
    """The sums of what each mean is taken over."""
    op = node.op
    assert isinstance(op, QuantizedOp)
    base = op.float_op
    sizes = [d for d in node.inputs[0].tensor_type.shape if isinstance(d, int)]
    if isinstance(base, pool.AdaptivePool) and any(
        out is not None and size % out
        for size, out in zip(sizes[-base.spatial :], base.output_size, strict=True)
    ):
        return _by_matrices(node, legal, x, base)
    summing = _sum(base, node, x.zero_point, terms)
    return legal.emit(node, summing, x, scaling=x.scaling, name=f"{node.name}_sum")


def _by_matrices(node: Node, legal: Legalizer, x: Value, base: pool.AdaptivePool) -> Value:
    """Windows that overlap: for each dimension a product with a matrix of zeros and ones."""
    module = cast(Any, to_module(node.op, Source(node)))
    sizes = tuple(node.inputs[0].tensor_type.shape[-base.spatial :])
    for i, windows in enumerate(module.windows(sizes)):
        dim, ones = i - base.spatial, torch.zeros(len(windows), cast(int, sizes[i]), dtype=torch.int8)
        for row, (start, end) in zip(ones, windows, strict=True):
            row[start:end] = 1
        x = _turned(node, legal, x, dim)
        x = legal.emit(
            node,
            exact.Linear(width=FIT, zero_point=x.zero_point),
            x,
            scaling=x.scaling,
            roles={"weight": (ones, Code(2))},
            name=f"{node.name}_sum",
        )
        x = _turned(node, legal, x, dim)
    return x


def _turned(node: Node, legal: Legalizer, x: Value, dim: int) -> Value:
    """A dimension in the place of the last."""
    if dim == -1:
        return x
    op = tensor.Transpose(dim0=dim, dim1=-1)
    made = legal.new.add(op, x.node, name=f"{node.name}_turned", like=node)
    return legal.annotated(Value(made, x.scaling, x.zero_point, x.interval))


def _sum(base: Op, node: Node, zero_point: int, terms: int) -> Sum | WindowSum:
    if isinstance(base, tensor.Mean):
        return Sum(width=FIT, terms=terms, dims=base.dims, keepdim=base.keepdim, zero_point=zero_point)
    if isinstance(base, pool.AvgPool):
        flat = (1,) * (2 - base.spatial)
        pads = (0,) * (2 - base.spatial) + base.padding
        kernel, stride = flat + base.kernel, flat + base.stride
        return _windows(kernel, stride, pads, base.ceil_mode, zero_point)
    assert isinstance(base, pool.AdaptivePool)
    return _adaptive(node, base, terms, zero_point)


def _adaptive(node: Node, base: pool.AdaptivePool, terms: int, zero_point: int) -> Sum | WindowSum:
    sizes = [d for d in node.inputs[0].tensor_type.shape[-base.spatial :] if isinstance(d, int)]
    outputs = [size if out is None else out for size, out in zip(sizes, base.output_size, strict=True)]
    if all(out == 1 for out in outputs):
        dims = tuple(range(-base.spatial, 0))
        return Sum(width=FIT, terms=terms, dims=dims, keepdim=True, zero_point=zero_point)
    kernel = (1,) * (2 - base.spatial) + tuple(s // o for s, o in zip(sizes, outputs, strict=True))
    return _windows(kernel, kernel, (0, 0), False, zero_point)


def _windows(kernel: Any, stride: Any, padding: Any, ceil_mode: bool, zero_point: int) -> WindowSum:
    return WindowSum(
        width=FIT, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, zero_point=zero_point
    )
