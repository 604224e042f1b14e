"""Element types and dimensions as ONNX has them."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from mase.ir import Dim, Dtype, MaseError, TensorType
from mase.ir.formats.code import Code

__all__ = ["carrier_of", "dims_of", "element_type", "value_info"]

_ELEMENTS = {
    "f64": TensorProto.DOUBLE,
    "f32": TensorProto.FLOAT,
    "f16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "i64": TensorProto.INT64,
    "i32": TensorProto.INT32,
    "i16": TensorProto.INT16,
    "i8": TensorProto.INT8,
    "u64": TensorProto.UINT64,
    "u32": TensorProto.UINT32,
    "u16": TensorProto.UINT16,
    "u8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}


def element_type(format: object) -> int:
    """ONNX's number of a machine element type.

    Raises:
        MaseError: if the format is none.

    Example:
        >>> from mase.ir import F32
        >>> element_type(F32)
        1
    """
    if isinstance(format, Code):
        return _ELEMENTS[_carrier(format)]
    if not isinstance(format, Dtype):
        raise MaseError.of(f"{format} is no element type of a machine, so ONNX has none for it")
    return _ELEMENTS[format.name]


def _carrier(format: Code) -> str:
    """The machine type that carries integers of a width."""
    if format.code_min >= -128 and format.code_max <= 127:
        return "i8"
    if not format.signed and format.width == 8:
        return "u8"
    return "i32" if format.code_min >= -(2**31) and format.code_max < 2**31 else "i64"


def carrier_of(format: object) -> Dtype:
    """The machine type that carries values of a format: int8 where they fit, uint8, int32 or int64.

    Example:
        >>> [str(carrier_of(Code(w, s))) for w, s in ((4, True), (7, False), (8, False), (20, True))]
        ['i8', 'i8', 'u8', 'i32']
    """
    if isinstance(format, Code):
        return Dtype(_carrier(format))
    assert isinstance(format, Dtype)
    return format


def dims_of(shape: tuple[Dim, ...]) -> list[int | str]:
    """A shape with the text of each symbolic dimension."""
    return [d if isinstance(d, int) else str(d) for d in shape]


def value_info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    """What ONNX says of a value."""
    return onnx.helper.make_tensor_value_info(name, element_type(type.format), dims_of(type.shape))
