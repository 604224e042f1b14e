"""Parameters as the integers that hardware stores, with their scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Fixed, Format
from mase.ir.formats import Integer
from mase.ir.formats.binary import Binary
from mase.ir.formats.ternary import Ternary
from mase.ir.ops import conv, nn
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.given_scales import given_scale
from mase.runtime.kernels import Encoded, encode
from mase.runtime.onnx.site import Site, array_of

__all__ = ["Codes", "activation_scale", "bias_codes", "codes_of", "power_of_two"]


@dataclass(frozen=True)
class Codes:
    """Integers ``k`` that mean ``scale * (k - zero_point)``.

    Args:
        codes: int64 of the parameter's shape.
        scale: float32; one number, one for each index of ``axis``, or one for each block along it.
        zero_point: int64, shaped as ``scale``.
        axis: which dimension the scales go along.
        block: how many numbers share one; None where all of an index do.
        low: the least code of the format.
        high: the largest code of the format.
    """

    codes: NDArray[Any]
    scale: NDArray[Any]
    zero_point: NDArray[Any]
    low: int
    high: int
    axis: int | None = None
    block: int | None = None

    @property
    def values(self) -> NDArray[Any]:
        """The numbers that the codes mean, float32."""
        scale, zero = self.spread(self.scale), self.spread(self.zero_point)
        return ((self.codes - zero).astype(np.float32) * scale).astype(np.float32)

    def ordered(self, order: tuple[int, ...] | None) -> Codes:
        """The same with its dimensions in another order."""
        if order is None:
            return self
        axis = None if self.axis is None else order.index(self.axis)
        blocks = self.block is not None
        scale, zero = (a.transpose(order) if blocks else a for a in (self.scale, self.zero_point))
        return Codes(self.codes.transpose(order), scale, zero, self.low, self.high, axis, self.block)

    def spread(self, array: NDArray[Any]) -> NDArray[Any]:
        """Scales or zero points in a shape that broadcasts over the codes."""
        if self.axis is None:
            return array
        if self.block is not None:
            return np.repeat(array, self.block, self.axis).take(range(self.codes.shape[self.axis]), self.axis)
        shape = [1] * self.codes.ndim
        shape[self.axis] = -1
        return array.reshape(shape)


def power_of_two(frac: int) -> NDArray[Any]:
    """``2**-frac`` as float32."""
    return np.array(np.ldexp(1.0, -frac), np.float32)


def codes_of(site: Site, role: str, format: Format) -> Codes:
    """A parameter as codes of a format.

    Raises:
        MaseError: if the format has no integer codes with scales that ONNX can say.
    """
    tensor = site.tensor(role)
    if isinstance(format, Fixed):
        found = encode(tensor, format)
        assert not isinstance(found, Encoded)
        codes = array_of(found).astype(np.int64)
        return Codes(
            codes,
            power_of_two(format.frac),
            np.zeros((), np.int64),
            format.code_min,
            format.code_max,
        )
    if isinstance(format, Integer):
        return _scaled(site, role, format)
    if isinstance(format, Binary | Ternary):
        return _signs(site, role, format)
    raise site.error(
        f"{role} is {format}, which has no integer codes",
        help='fixed<W,F>, int<W>, uint<W>, binary and ternary have; format="float" leaves formats out',
    )


def _scaled(site: Site, role: str, format: Integer) -> Codes:
    tensor = site.tensor(role)
    if format.reach == "row":
        rows = site.node.op.axes(role).of(tensor.dim())
        if rows != (tensor.dim() - 1,):
            raise site.error(f"{role} is {format}, whose rows {rows} ONNX cannot share scales along")
    found = encode(tensor, format, given_scale(site.node, role))
    assert isinstance(found, Encoded)
    assert found.scale.value is not None
    scale = array_of(found.scale.value)
    zero = found.scale.zero_point
    zero_point = np.zeros(scale.shape, np.int64) if zero is None else array_of(zero).astype(np.int64)
    axis, block = format.channel, format.group
    if format.group is not None:
        axis = tensor.dim() - 1
    elif format.token:
        axis, scale, zero_point = 0, scale.reshape(-1), zero_point.reshape(-1)
        if tensor.dim() != 2:
            raise site.error(f"{role} is {format}, which ONNX has for matrices only")
    axis = None if axis is None else axis % tensor.dim()
    codes = array_of(found.codes).astype(np.int64)
    return Codes(codes, scale, zero_point, format.code_min, format.code_max, axis, block)


def _signs(site: Site, role: str, format: Binary | Ternary) -> Codes:
    found = encode(site.tensor(role), format)
    codes, scale = (found.codes, found.scale.value) if isinstance(found, Encoded) else (found, None)
    signs = array_of(codes).astype(np.int64)
    if isinstance(format, Binary):
        signs = 2 * signs - 1
    factor = np.ones((), np.float32) if scale is None else array_of(scale)
    axis = None if format.channel is None else format.channel % signs.ndim
    return Codes(signs, factor, np.zeros(factor.shape, np.int64), -1, 1, axis)


def activation_scale(site: Site, role: str, format: Fixed | Integer) -> tuple[NDArray[Any], int]:
    """The scale and zero point of an operand.

    Raises:
        MaseError: if they are not known before the model runs.
    """
    if isinstance(format, Fixed):
        return power_of_two(format.frac), 0
    given = given_scale(site.node, role)
    if given is None or given.value is None or given.value.dim():
        raise site.error(
            f"{role} is {format}, whose scale is taken from each tensor anew",
            help="leave it out, or say fixed<W,F>"
            if role == "data_out"
            else 'quantize{scales="static"} keeps one scale; channel, group and token formats have none',
        )
    zero = 0 if given.zero_point is None else int(given.zero_point)
    return array_of(given.value), zero


def bias_codes(site: Site) -> Codes | None:
    """A bias as int32 at the scale of the products, where integer hardware adds it.

    None if the bias has no such form: without scales of both operands, beyond 32 bits, or finer than sums of
    signs.
    """
    op = site.node.op
    if not isinstance(op, QuantizedOp) or not isinstance(
        op.float_op, nn.Linear | conv.Conv | conv.ConvTranspose
    ):
        return None
    x, w, b = (op.formats.get(role) for role in ("data_in", "weight", "bias"))
    if not isinstance(x, Fixed | Integer) or not isinstance(w, Fixed | Integer | Binary | Ternary):
        return None
    weight = codes_of(site, "weight", w)
    outputs = (None,) if isinstance(op.float_op, conv.ConvTranspose) else (None, 0)
    if weight.block is not None or weight.axis not in outputs:
        return None
    unit = activation_scale(site, "data_in", x)[0].astype(np.float64) * weight.scale.astype(np.float64)
    scale = unit.astype(np.float32)
    if isinstance(b, Fixed):
        own = codes_of(site, "bias", b)
        values = own.codes.astype(np.float64) * np.ldexp(1.0, -b.frac)
    elif b is None:
        in_units = isinstance(w, Integer) or (isinstance(w, Fixed) and op.requant == "dyadic")
        if not in_units:
            return None  # the products may be much coarser than the bias
        values = site.array("bias").astype(np.float64)
    else:
        return None
    codes = np.rint(values / unit).astype(np.int64)
    signs = isinstance(w, Binary | Ternary)  # beside them a bias is added as it is
    if np.abs(codes).max(initial=0) >= 2**31 or (signs and (codes * unit != values).any()):
        return None
    axis = None if scale.ndim == 0 else 0
    return Codes(codes, scale, np.zeros(scale.shape, np.int64), -(2**31), 2**31 - 1, axis)
