"""ATen operators that show, move or choose elements."""

from __future__ import annotations

from typing import Any

import onnx

from mase.ir import BOOL, I64, Dim, Dtype, MaseError
from mase.runtime.onnx.arguments import Operand
from mase.runtime.onnx.registry import call_to_onnx, operator_of
from mase.runtime.onnx.site import Site, Value
from mase.runtime.onnx.types import element_type

__all__ = [
    "arange",
    "convert",
    "expand",
    "filled",
    "gather",
    "index",
    "index_select",
    "joined",
    "nothing",
    "permuted",
    "repeat",
    "repeated",
    "reshaped",
    "rolled",
    "select",
    "sized",
    "sliced",
    "split",
    "stacked",
    "transposed",
    "unsqueeze",
]

Arguments = dict[str, Any]
_END = 2**63 - 1


@call_to_onnx.register("contiguous", "alias", "detach", "clone", "lift_fresh_copy", "_assert_tensor_metadata")
def nothing(site: Site, args: Arguments) -> Value:
    """The operand itself."""
    return site.input(0)


@call_to_onnx.register("sym_size")
def sized(site: Site, args: Arguments) -> Value:
    """A size; who needs it reads it from the types."""
    return getattr(site.node.type, "value", None)


@call_to_onnx.register(
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "ravel", "_reshape_alias"
)
def reshaped(site: Site, args: Arguments) -> Value:
    """Whatever shows the elements in their order: the shape is that of the result."""
    if site.type(0).shape == site.result.shape:
        return site.input(0)
    return site.reshape(site.input(0), site.type(0).shape, site.result.shape)


@call_to_onnx.register("unsqueeze")
def unsqueeze(site: Site, args: Arguments) -> Value:
    """One more dimension."""
    return site.emit("Unsqueeze", site.input(0), site.ints(args["dim"]))


@call_to_onnx.register("expand")
def expand(site: Site, args: Arguments) -> Value:
    """Broadcast to the shape of the result."""
    if site.type(0).shape == site.result.shape:
        return site.input(0)
    return site.emit("Expand", site.input(0), site.builder.shape(site.result.shape))


@call_to_onnx.register("permute")
def permuted(site: Site, args: Arguments) -> Value:
    """Dimensions in another order."""
    return site.emit("Transpose", site.input(0), perm=[d % site.rank() for d in args["dims"]])


@call_to_onnx.register("transpose", "t")
def transposed(site: Site, args: Arguments) -> Value:
    """Two dimensions swapped."""
    order = list(range(site.rank()))
    a, b = args.get("dim0", 0), args.get("dim1", len(order) - 1)
    if len(order) > 1:
        order[a], order[b] = order[b], order[a]
    return site.emit("Transpose", site.input(0), perm=order)


@call_to_onnx.register("slice", "narrow")
def sliced(site: Site, args: Arguments) -> Value:
    """A part of one dimension."""
    dim, start = args.get("dim", 0), args.get("start") or 0
    end: Dim = (
        start + args["length"] if "length" in args else _END if args.get("end") is None else args["end"]
    )
    step = args.get("step", 1)
    if start == 0 and step == 1 and (end == _END or end == site.type(0).shape[dim]):
        return site.input(0)
    bounds = (site.builder.dim(start), site.builder.dim(end))
    return site.emit("Slice", site.input(0), *bounds, site.ints(dim), site.ints(step))


@call_to_onnx.register("select")
def select(site: Site, args: Arguments) -> Value:
    """One index of a dimension, which goes."""
    return site.emit("Gather", site.input(0), site.builder.scalar(args["index"]), axis=args["dim"])


@call_to_onnx.register("gather")
def gather(site: Site, args: Arguments) -> Value:
    """Elements by their index along one dimension; the others are cut to those of the indices."""
    x, at = args["self"], args["index"]
    value, dim = x.name, args["dim"] % max(x.type.rank, 1)
    cut = [i for i, (a, b) in enumerate(zip(x.type.shape, at.type.shape, strict=True)) if i != dim and a != b]
    if cut:
        ends = site.builder.shape([at.type.shape[i] for i in cut])
        value = site.emit("Slice", value, site.ints(*[0] * len(cut)), ends, site.ints(*cut))
    return site.emit("GatherElements", value, at.name, axis=dim)


@call_to_onnx.register("index_select")
def index_select(site: Site, args: Arguments) -> Value:
    """Indices of one dimension."""
    return site.emit("Gather", site.input(0), args["index"].name, axis=args["dim"])


@call_to_onnx.register("index")
def index(site: Site, args: Arguments) -> Value:
    """Indexing by tensors of integers for the first dimensions."""
    indices: list[Operand | None] = list(args["indices"])
    known = [i for i in indices if i is not None]
    if len(known) == 1 and len(indices) > 0 and known[0].type.format != BOOL:
        return site.emit("Gather", site.input(0), known[0].name, axis=indices.index(known[0]))
    if len(known) < len(indices) or any(i.type.format == BOOL for i in known):
        raise site.error("indexing by a mask, or by tensors of separate dimensions, has no rule")
    shape = site.result.shape[: max(i.type.rank for i in known)]
    last = site.ints(-1)
    target = site.builder.shape(shape)
    parts = [site.emit("Expand", site.cast(i.name, I64), target) for i in known]
    parts = [site.emit("Unsqueeze", part, last) for part in parts]
    return site.emit("GatherND", site.input(0), site.emit("Concat", *parts, axis=-1))


@call_to_onnx.register("repeat")
def repeat(site: Site, args: Arguments) -> Value:
    """The tensor several times over."""
    times, value = args["repeats"], site.input(0)
    if len(times) > site.rank():
        value = site.emit("Unsqueeze", value, site.ints(*range(len(times) - site.rank())))
    return site.emit("Tile", value, site.builder.shape(times))


@call_to_onnx.register("repeat_interleave")
def repeated(site: Site, args: Arguments) -> Value:
    """Each index of a dimension so many times."""
    times, dim = args["repeats"], args.get("dim")
    if not isinstance(times, int) or not isinstance(dim, int):
        raise site.error("repeat_interleave: expected one number of repeats, and a dimension")
    (size,) = site.fixed((site.type(0).shape[dim],), "the dimension")
    index = site.ints(*(i for i in range(size) for _ in range(times)))
    return site.emit("Gather", site.input(0), index, axis=dim)


@call_to_onnx.register("stack")
def stacked(site: Site, args: Arguments) -> Value:
    """Tensors side by side along a new dimension."""
    at = site.ints(args.get("dim", 0))
    parts = [site.emit("Unsqueeze", t.name, at) for t in args["tensors"]]
    return site.emit("Concat", *parts, axis=args.get("dim", 0))


@call_to_onnx.register("cat")
def joined(site: Site, args: Arguments) -> Value:
    """Tensors side by side."""
    return site.emit("Concat", *(t.name for t in args["tensors"]), axis=args.get("dim", 0))


@call_to_onnx.register("roll")
def rolled(site: Site, args: Arguments) -> Value:
    """Elements shifted around each dimension."""
    value = site.input(0)
    if not args["dims"]:
        raise site.error("roll without dims has no rule")
    for shift, dim in zip(args["shifts"], args["dims"], strict=True):
        size = site.fixed(site.type(0).shape[dim : dim + 1], "roll")[0]
        cut = -shift % size
        ends = ((cut, _END), (0, cut))
        parts = [
            site.emit("Slice", value, site.ints(a), site.ints(b), site.ints(dim)) for a, b in ends if b > a
        ]
        value = site.emit("Concat", *parts, axis=dim)
    return value


@call_to_onnx.register("split", "split_with_sizes", "chunk", "unbind")
def split(site: Site, args: Arguments) -> Value:
    """Parts of one dimension, as a tuple."""
    dim = args.get("dim", 0)
    elements = getattr(site.node.type, "elements", ())
    parts: list[str] = []
    start: Dim = 0
    for i, element in enumerate(elements):
        if operator_of(site) == "unbind":
            at = site.builder.scalar(i)
            parts.append(site.emit("Gather", site.input(0), at, axis=dim, called=f"part{i}"))
            continue
        end = start + element.shape[dim]
        bounds = (site.builder.dim(start), site.builder.dim(end), site.ints(dim))
        parts.append(site.emit("Slice", site.input(0), *bounds, called=f"part{i}"))
        start = end
    return tuple(parts)


@call_to_onnx.register("to", "_to_copy", "type_as", "float", "bool", "int", "long")
def convert(site: Site, args: Arguments) -> Value:
    """Another element type."""
    if site.type(0).format == site.result.format:
        return site.input(0)
    return site.cast(site.input(0), site.result.format)


@call_to_onnx.register("arange")
def arange(site: Site, args: Arguments) -> Value:
    """Numbers in order; all but the last kind of dimensions must be whole."""
    numbers = (args.get("start", 0), args["end"], args.get("step", 1))
    if any(isinstance(n, float) for n in numbers):
        parts = [site.number(float(n)) for n in numbers]
        return site.emit("Range", *parts)
    whole = site.emit("Range", *(site.builder.scalar(n) for n in numbers))
    return whole if site.result.format == I64 else site.cast(whole, site.result.format)


_FILLS = {"zeros": 0, "ones": 1, "new_zeros": 0, "new_ones": 1, "zeros_like": 0, "ones_like": 1}


@call_to_onnx.register(*_FILLS, "full", "new_full", "full_like", "scalar_tensor")
def filled(site: Site, args: Arguments) -> Value:
    """One number everywhere."""
    format = site.result.format
    if not isinstance(format, Dtype):
        raise MaseError.of(f"{format} is no element type")
    name = operator_of(site)
    value = _FILLS.get(name, args.get("fill_value", args.get("s")))
    if not isinstance(value, int | float):
        raise site.error(f"{name} of a symbolic number has no rule")
    element = onnx.helper.make_tensor("value", element_type(format), [1], [value])
    return site.emit("ConstantOfShape", site.builder.shape(site.result.shape), value=element)
