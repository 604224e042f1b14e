"""Into integers, out of them, and from one scale to another."""

from __future__ import annotations

from typing import Any

from mase.ir.format import Format
from mase.ir.formats import Dtype, Fixed, Integer
from mase.ir.formats.code import Code
from mase.ir.op import OpError, register_op
from mase.ir.ops.exact.base import ExactOp, carrier, codes
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.ops.exact.requantization import Requantization
from mase.ir.ops.shapes import same, tensor
from mase.ir.types import TensorType, Type

__all__ = ["Constant", "Dequantize", "Quantize", "Requantize"]


@register_op("int.quantize")
class Quantize(ExactOp):
    """The codes of floats that enter the graph, as ``encode`` of the format gives them.

    ``format`` is a fixed point one, or ``int<W>`` with its scale, and its zero point if it is ``asym``.
    """

    format: Format

    def infer(
        self, data_in: TensorType, *, scale: TensorType | None = None, zero_point: TensorType | None = None
    ) -> Type:
        x, format = tensor(data_in, "data_in"), self.format
        if not isinstance(format, Fixed | Integer):
            raise OpError(f"format: expected fixed<W,F> or int<W>, found {format}")
        if (scale is not None) != isinstance(format, Integer):
            raise OpError(f"{format} has {'a' if isinstance(format, Integer) else 'no'} scale from outside")
        return TensorType(Code(format.width, format.signed), x.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        format = self.format
        assert isinstance(format, Fixed | Integer)
        return Interval(format.code_min, format.code_max)


@register_op("int.dequantize")
class Dequantize(ExactOp):
    """The floats ``(data_in - zero_point) * scale`` that leave the graph, computed in float64.

    Args:
        scale: one for the tensor; with one for each index of ``axis`` it is 1 and the role ``scales`` has
            them, in float64.
        axis: the dimension of ``scales``.
        zero_point: the code of 0.
        dtype: the element type of the result, to which the float64 is rounded.
    """

    scale: float = 1.0
    axis: int = 0
    zero_point: int = 0
    dtype: Dtype = Dtype("f32")

    def infer(self, data_in: TensorType, *, scales: TensorType | None = None) -> Type:
        x = codes(data_in, "data_in")
        if scales is not None:
            same(x.shape[self.axis], tensor(scales, "scales", 1).shape[0], "length of scales")
        return TensorType(self.dtype, x.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        (x,) = operands
        if x.shifted(self.zero_point).magnitude > 2**53:
            raise OpError(f"a value in {x} has no exact float64")
        return x


@register_op("int.requantize")
class Requantize(ExactOp):
    """Codes of another scale, by the record `Requantization`.

    Args:
        to: what is done to each code.
        axis: the dimension that the roles ``multiplier`` and ``shift`` run along, if the node has them.
    """

    to: Requantization
    axis: int = 0

    def infer(
        self, data_in: TensorType, *, multiplier: TensorType | None = None, shift: TensorType | None = None
    ) -> Type:
        x = codes(data_in, "data_in")
        for what, role in (("multiplier", multiplier), ("shift", shift)):
            if role is not None:
                same(x.shape[self.axis], tensor(role, what, 1).shape[0], f"length of {what}")
        return TensorType(self.to.format, x.shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        (x,) = operands
        found: list[Interval] = []
        for multiplier, shift in self._factors(**roles):
            if not self.to.fits(x, multiplier, shift):
                raise OpError(f"codes in {x} times {multiplier} leave int64")
            found.append(Interval(*(self.to.apply(end, multiplier, shift) for end in (x.min, x.max))))
        return hull(found)

    def _factors(self, multiplier: Any = None, shift: Any = None) -> set[tuple[int, int]]:
        """The pairs of multiplier and shift of all channels."""
        channels = next((len(t) for t in (multiplier, shift) if t is not None), 1)
        multipliers = [self.to.multiplier] * channels if multiplier is None else multiplier.tolist()
        shifts = [self.to.shift] * channels if shift is None else shift.tolist()
        return set(zip(multipliers, shifts, strict=True))


@register_op("int.constant")
class Constant(ExactOp):
    """Codes that are known: a parameter of the model, quantized when the graph was legalized."""

    format: Code

    def infer(self, *, value: TensorType) -> Type:
        return TensorType(self.format, codes(value, "value").shape)

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        value = roles["value"]
        return carrier(Interval(int(value.min()), int(value.max())), "the constant")
