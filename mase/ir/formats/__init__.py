"""The built-in families of number formats, one file each."""

from mase.ir.formats.dtype import BOOL, F32, I64, Dtype
from mase.ir.formats.fixed import Fixed, FixedWidth

__all__ = ["BOOL", "F32", "I64", "Dtype", "Fixed", "FixedWidth"]
