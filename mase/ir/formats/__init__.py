"""The built-in families of number formats, one file each."""

from mase.ir.formats.bfp import BlockFP
from mase.ir.formats.binary import Binary
from mase.ir.formats.block import Block
from mase.ir.formats.blog import BlockLog
from mase.ir.formats.bminifloat import BlockMinifloat
from mase.ir.formats.code import Code
from mase.ir.formats.denorm import Denorm
from mase.ir.formats.dtype import BOOL, F32, I64, Dtype
from mase.ir.formats.fixed import Fixed, FixedWidth
from mase.ir.formats.integer import Integer
from mase.ir.formats.log import Log
from mase.ir.formats.minifloat import Float, Minifloat
from mase.ir.formats.mxfp import MxFloat
from mase.ir.formats.mxint import MxInt
from mase.ir.formats.nvfp4 import NvFp4
from mase.ir.formats.ocp import OcpFloat
from mase.ir.formats.ternary import Ternary

__all__ = [
    "BOOL",
    "F32",
    "I64",
    "Binary",
    "Block",
    "BlockFP",
    "BlockLog",
    "BlockMinifloat",
    "Code",
    "Denorm",
    "Dtype",
    "Fixed",
    "FixedWidth",
    "Float",
    "Integer",
    "Log",
    "Minifloat",
    "MxFloat",
    "MxInt",
    "NvFp4",
    "OcpFloat",
    "Ternary",
]
