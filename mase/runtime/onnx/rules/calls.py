"""ATen operators that compute, and ``torch.call`` itself."""

from __future__ import annotations

from typing import Any

from mase.ir import BOOL, Dtype, TensorType
from mase.ir.ops import torch as ops
from mase.runtime.onnx.arguments import Operand, bind
from mase.runtime.onnx.exporter import by_exporter
from mase.runtime.onnx.registry import call_to_onnx, operator_of, to_onnx
from mase.runtime.onnx.site import Site, Value

__all__ = [
    "binary",
    "call",
    "chosen",
    "clamped",
    "masked",
    "opaque",
    "reduced",
    "rsqrt",
    "softmaxed",
    "unary",
]

Arguments = dict[str, Any]

_UNARY = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log",
    "neg": "Neg", "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid",
    "sign": "Sign", "sin": "Sin", "sqrt": "Sqrt", "tanh": "Tanh", "logical_not": "Not", "isnan": "IsNaN",
}  # fmt: skip
_BINARY = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "maximum": "Max",
    "minimum": "Min",
}
_COMPARED = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"}
_LOGICAL = {"__and__": "And", "__or__": "Or", "__xor__": "Xor", "bitwise_and": "And", "bitwise_or": "Or",
            "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}  # fmt: skip
_REDUCED = {"sum": "ReduceSum", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin"}


@to_onnx.register(ops.Call)
def call(op: ops.Call, site: Site) -> Value:
    """``torch.call``: by a rule of its own, else as PyTorch's exporter writes it."""
    rule = call_to_onnx.find(op)
    args = bind(op, site) if rule is not None else None
    return by_exporter(site) if rule is None or args is None else rule(site, args)


@to_onnx.register(ops.Module)
def opaque(op: ops.Module, site: Site) -> Value:
    """``torch.module``, of which nothing is known but that torch can run it."""
    raise site.error(
        f"{op.cls} is opaque and has no form in ONNX", help="capture it without opaque=..., or replace it"
    )


def _operand(site: Site, value: Any, format: Dtype) -> str:
    """An argument, a tensor or number, in an element type."""
    if isinstance(value, Operand):
        return value.name if value.type.format == format else site.cast(value.name, format)
    if isinstance(value, bool | int | float):
        return site.number(value, format)
    scalar = site.builder.scalar(value)
    return scalar if format.name == "i64" else site.cast(scalar, format)


def _dtype(format: object) -> Dtype:
    assert isinstance(format, Dtype)
    return format


@call_to_onnx.register(*_UNARY)
def unary(site: Site, args: Arguments) -> Value:
    """Functions of one tensor."""
    return site.emit(_UNARY[operator_of(site)], _operand(site, args["self"], _dtype(site.result.format)))


@call_to_onnx.register("rsqrt")
def rsqrt(site: Site, args: Arguments) -> Value:
    """One over the square root."""
    return site.emit("Reciprocal", site.emit("Sqrt", site.input(0)))


@call_to_onnx.register(*_BINARY)
def binary(site: Site, args: Arguments) -> Value:
    """Arithmetic of two operands, one of them perhaps a number."""
    name, format = operator_of(site), _dtype(site.result.format)
    x, y = args.get("self"), args.get("other", args.get("exponent"))
    if args.get("alpha", 1) != 1 or args.get("rounding_mode") is not None:
        return by_exporter(site)
    neutral = {"add": 0, "sub": 0, "mul": 1, "div": 1, "pow": 1}.get(name)
    if isinstance(x, Operand) and not isinstance(y, Operand) and y == neutral and x.type == site.result:
        return x.name
    return site.emit(_BINARY[name], _operand(site, x, format), _operand(site, y, format))


@call_to_onnx.register(*_COMPARED, "ne")
def compared(site: Site, args: Arguments) -> Value:
    """Comparisons."""
    x, y = args["self"], args["other"]
    formats = [_dtype(v.type.format) for v in (x, y) if isinstance(v, Operand)]
    format = next((f for f in formats if f.is_float), formats[0])
    pair = (_operand(site, x, format), _operand(site, y, format))
    if operator_of(site) == "ne":
        return site.emit("Not", site.emit("Equal", *pair))
    return site.emit(_COMPARED[operator_of(site)], *pair)


@call_to_onnx.register(*_LOGICAL)
def logical(site: Site, args: Arguments) -> Value:
    """And, or, xor of booleans, and bitwise of integers."""
    name = _LOGICAL[operator_of(site)]
    format = _dtype(site.result.format)
    pair = (_operand(site, args["self"], format), _operand(site, args["other"], format))
    return site.emit(name if format == BOOL else f"Bitwise{name}", *pair)


@call_to_onnx.register("bitwise_not")
def inverted(site: Site, args: Arguments) -> Value:
    """Not, of booleans or bit by bit."""
    return site.emit("Not" if site.result.format == BOOL else "BitwiseNot", site.input(0))


@call_to_onnx.register("where")
def chosen(site: Site, args: Arguments) -> Value:
    """One of two by a mask."""
    if args.get("self") is None or args.get("other") is None:
        return by_exporter(site)
    format = _dtype(site.result.format)
    pair = (_operand(site, args["self"], format), _operand(site, args["other"], format))
    return site.emit("Where", args["condition"].name, *pair)


@call_to_onnx.register("masked_fill")
def masked(site: Site, args: Arguments) -> Value:
    """A number where a mask is true."""
    format = _dtype(site.result.format)
    return site.emit(
        "Where",
        args["mask"].name,
        _operand(site, args["value"], format),
        _operand(site, args["self"], format),
    )


@call_to_onnx.register("clamp", "clamp_min", "clamp_max")
def clamped(site: Site, args: Arguments) -> Value:
    """Between two bounds, of which one may be absent."""
    format, value = _dtype(site.result.format), args["self"].name
    for bound, op in ((args.get("min"), "Max"), (args.get("max"), "Min")):
        if bound is not None:
            value = site.emit(op, value, _operand(site, bound, format))
    return value


@call_to_onnx.register(*_REDUCED)
def reduced(site: Site, args: Arguments) -> Value:
    """Sums, means and extremes over some dimensions."""
    format = _dtype(site.result.format)
    dims = args.get("dim")
    dims = [dims] if isinstance(dims, int) else dims
    axes = site.ints(*dims) if dims else None
    value = _operand(site, args["self"], format)
    return site.emit(_REDUCED[operator_of(site)], value, axes, keepdims=int(bool(args.get("keepdim", False))))


@call_to_onnx.register("softmax", "_softmax", "log_softmax", "_log_softmax")
def softmaxed(site: Site, args: Arguments) -> Value:
    """Softmax and its logarithm."""
    name = "LogSoftmax" if "log" in operator_of(site) else "Softmax"
    value = _operand(site, args["self"], _dtype(site.result.format))
    return site.emit(name, value, axis=args["dim"])


@call_to_onnx.register("cumsum")
def summed(site: Site, args: Arguments) -> Value:
    """Sums of all before."""
    assert isinstance(site.node.type, TensorType)
    value = _operand(site, args["self"], _dtype(site.result.format))
    return site.emit("CumSum", value, site.builder.scalar(args["dim"]))


@call_to_onnx.register("matmul", "bmm", "mm")
def product(site: Site, args: Arguments) -> Value:
    """Matrix products."""
    other = args["other"] if "other" in args else args["mat2"]
    return site.emit("MatMul", args["self"].name, other.name)
