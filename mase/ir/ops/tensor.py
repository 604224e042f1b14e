"""Arithmetic and shape ops on tensors."""

from __future__ import annotations

from mase.ir.axes import Axes
from mase.ir.dim import Dim
from mase.ir.formats import Dtype
from mase.ir.op import Op, OpError, register_op
from mase.ir.ops.shapes import broadcast, same, tensor
from mase.ir.types import TensorType, Type

__all__ = [
    "Add",
    "Binary",
    "Concat",
    "Div",
    "Flatten",
    "MatMul",
    "Mean",
    "Mul",
    "Permute",
    "Sub",
    "Transpose",
]


class Binary(Op):
    """Base of the elementwise ops of two tensors that broadcast."""

    quantized_roles = ("data_in", "other")

    def infer(self, data_in: TensorType, other: TensorType) -> Type:
        x, y = tensor(data_in, "data_in"), tensor(other, "other")
        return TensorType(_promoted(x, y), broadcast(x.shape, y.shape))


def _promoted(x: TensorType, y: TensorType) -> Dtype:
    """The element type of a mixed result, by torch's rule for dimensioned tensors of floats."""
    formats = [f for f in (x.format, y.format) if isinstance(f, Dtype)]
    if len(formats) < 2:
        raise OpError(f"expected machine element types, found {x} and {y}")
    a, b = formats
    if a == b:
        return a
    if (x.rank > 0) != (y.rank > 0) and a.is_float == b.is_float:
        return a if x.rank else b
    if a.is_float and b.is_float:
        return Dtype("f32") if a.bits == b.bits else max(formats, key=lambda f: f.bits)
    if a.is_float or b.is_float:
        return a if a.is_float else b
    return max(formats, key=lambda f: (f.name != "bool", f.bits))


@register_op("tensor.add")
class Add(Binary):
    """``data_in + other``."""


@register_op("tensor.sub")
class Sub(Binary):
    """``data_in - other``."""


@register_op("tensor.mul")
class Mul(Binary):
    """``data_in * other``."""


@register_op("tensor.div")
class Div(Binary):
    """``data_in / other``, of floats."""


@register_op("tensor.matmul")
class MatMul(Op):
    """Matrix product over the last two dimensions, the others broadcast."""

    quantized_roles = ("data_in", "other")

    def axes(self, role: str) -> Axes:
        return Axes((-2,)) if role == "other" else Axes()

    def infer(self, data_in: TensorType, other: TensorType) -> Type:
        x, y = tensor(data_in, "data_in"), tensor(other, "other")
        if not x.rank or not y.rank:
            raise OpError(f"expected at least one dimension, found {x} and {y}")
        same(x.shape[-1], y.shape[-2 if y.rank > 1 else 0], "inner dimension of other")
        rows = x.shape[-2:-1] if x.rank > 1 else ()
        columns = y.shape[-1:] if y.rank > 1 else ()
        return x.with_shape((*broadcast(x.shape[:-2], y.shape[:-2]), *rows, *columns))


@register_op("tensor.mean")
class Mean(Op):
    """The mean over ``dims``, all if None; ``keepdim`` leaves each with size 1."""

    quantized_roles = ("data_in",)
    dims: tuple[int, ...] | None = None
    keepdim: bool = False

    def axes(self, role: str) -> Axes:
        return Axes(self.dims) if self.dims and role == "data_in" else Axes()

    def infer(self, data_in: TensorType) -> Type:
        x = tensor(data_in, "data_in")
        if any(not -max(x.rank, 1) <= d < max(x.rank, 1) for d in self.dims or ()):
            raise OpError(f"{x} has no dimensions {list(self.dims or ())}")
        gone = set(range(x.rank)) if self.dims is None else {d % max(x.rank, 1) for d in self.dims}
        if self.keepdim:
            return x.with_shape([1 if i in gone else d for i, d in enumerate(x.shape)])
        return x.with_shape([d for i, d in enumerate(x.shape) if i not in gone])


@register_op("tensor.flatten")
class Flatten(Op):
    """Merge the dimensions ``start`` to ``end`` (included)."""

    start: int = 1
    end: int = -1

    def infer(self, data_in: TensorType) -> Type:
        x = tensor(data_in, "data_in")
        if not x.rank:
            return x.with_shape((1,))
        start, end = self.start % x.rank, self.end % x.rank
        merged: Dim = 1
        for d in x.shape[start : end + 1]:
            merged = merged * d
        return x.with_shape((*x.shape[:start], merged, *x.shape[end + 1 :]))


@register_op("tensor.transpose")
class Transpose(Op):
    """Swap two dimensions."""

    dim0: int
    dim1: int

    def infer(self, data_in: TensorType) -> Type:
        x = tensor(data_in, "data_in")
        shape = list(x.shape)
        if not (-x.rank <= self.dim0 < x.rank and -x.rank <= self.dim1 < x.rank):
            raise OpError(f"{x} has no dimensions {self.dim0} and {self.dim1}")
        shape[self.dim0], shape[self.dim1] = shape[self.dim1], shape[self.dim0]
        return x.with_shape(shape)


@register_op("tensor.permute")
class Permute(Op):
    """Reorder the dimensions."""

    dims: tuple[int, ...]

    def infer(self, data_in: TensorType) -> Type:
        x = tensor(data_in, "data_in")
        if sorted(d % max(x.rank, 1) for d in self.dims) != list(range(x.rank)):
            raise OpError(f"{list(self.dims)} is not an order of the dimensions of {x}")
        return x.with_shape([x.shape[d] for d in self.dims])


@register_op("tensor.concat")
class Concat(Op):
    """Join tensors along ``dim``."""

    quantized_roles = ("data_in",)
    dim: int = 0

    def infer(self, *data_in: TensorType) -> Type:
        if not data_in:
            raise OpError("expected at least one operand")
        xs = [tensor(x, "data_in", data_in[0].rank) for x in data_in]
        shape = list(xs[0].shape)
        total: Dim = 0
        for x in xs:
            total = total + x.shape[self.dim]
        shape[self.dim] = total
        return xs[0].with_shape(shape)
