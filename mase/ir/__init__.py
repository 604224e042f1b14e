"""The MASE IR: formats, types, ops, graphs and their text. Needs neither torch nor numpy."""

from mase.ir import caches, ops
from mase.ir.annotations import Meta, register_annotation
from mase.ir.diagnostics import Diagnostic, Location, MaseError, Severity, UsageError
from mase.ir.dim import Dim, Expr, parse_dim, symbol
from mase.ir.format import Format, Uncalibrated, format_from_keys, parse_format, register_format
from mase.ir.formats import BOOL, F32, I64, Dtype, Fixed, FixedWidth
from mase.ir.graph import Graph, Header, Node
from mase.ir.op import Level, Op, OperandSchema, OpError, get_op, op_names, register_op
from mase.ir.state import Entry, State, WeightFile
from mase.ir.template import Hole, Named, Record, Template
from mase.ir.types import NoneType, ScalarType, TensorType, TupleType, Type, parse_type

__all__ = [
    "BOOL",
    "F32",
    "I64",
    "Diagnostic",
    "Dim",
    "Dtype",
    "Entry",
    "Expr",
    "Fixed",
    "FixedWidth",
    "Format",
    "Graph",
    "Header",
    "Hole",
    "Level",
    "Location",
    "MaseError",
    "Meta",
    "Named",
    "Node",
    "NoneType",
    "Op",
    "OpError",
    "OperandSchema",
    "Record",
    "ScalarType",
    "Severity",
    "State",
    "Template",
    "TensorType",
    "TupleType",
    "Type",
    "Uncalibrated",
    "UsageError",
    "WeightFile",
    "caches",
    "format_from_keys",
    "get_op",
    "op_names",
    "ops",
    "parse_dim",
    "parse_format",
    "parse_type",
    "register_annotation",
    "register_format",
    "register_op",
    "symbol",
]
