"""Collects the nodes, initializers and names of an ONNX graph."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Mapping, MutableSequence, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from mase.ir import Dim, Expr, MaseError

__all__ = ["OPSET", "QONNX_DOMAIN", "Builder", "symbols_of"]

OPSET = 21
_OPSET_OF_2_BITS = 25
QONNX_DOMAIN = "qonnx.custom_op.general"

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.FloorDiv: "Div",
    ast.Mod: "Mod",
}


class Mark(NamedTuple):
    """How much a `Builder` held at some time."""

    nodes: int
    cached: int


class Builder:
    """An ONNX graph in the making.

    Args:
        symbols: for each symbolic dimension the input and the axis that have it.

    Example:
        >>> import numpy as np
        >>> b = Builder({})
        >>> b.add("Relu", ["x"], name="act", output="y")
        'y'
        >>> b.constant(np.float32(0.5), "half"), b.constant(np.float32(0.5), "half")
        ('half', 'half')
    """

    def __init__(self, symbols: Mapping[str, tuple[str, int]]) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.cache: dict[Hashable, str] = {}
        """What rules have made already, by whatever says that it is the same."""
        self.makers: dict[str, NodeProto] = {}
        """The node that makes each value."""
        self.grids: dict[str, Any] = {}
        """What quantizers know of the values that they made: the numbers that there may be."""
        self._symbols = dict(symbols)
        self._names: set[str] = set()
        self._suffixes: dict[str, int] = {}  # of a wish, the first that is free

    @property
    def opset(self) -> int:
        """The version of ONNX's operators: no later than what is stored needs, for tools to read the file."""
        stored = {tensor.data_type for tensor in self.initializers.values()}
        return _OPSET_OF_2_BITS if stored & {TensorProto.INT2, TensorProto.UINT2} else OPSET

    # -- names ------------------------------------------------------------------------------

    def reserve(self, name: str) -> None:
        """Keep a name for one value."""
        self._names.add(name)

    def fresh(self, wish: str) -> str:
        """``wish``, or that with a number if something is called so."""
        name, suffix = wish, self._suffixes.get(wish, 1)
        while name in self._names:
            name = f"{wish}_{suffix}"
            suffix += 1
        self._names.add(name)
        self._suffixes[wish] = suffix
        return name

    def mark(self) -> Mark:
        """How much there is now."""
        return Mark(len(self.nodes), len(self.cache))

    def made(self, value: str, since: Mark) -> bool:
        """Whether a value is the result of a node that came since."""
        return any(value in node.output for node in self.nodes[since.nodes :])

    def rename(self, old: str, new: str, since: Mark) -> None:
        """Call a value that was made since otherwise."""
        for node in self.nodes[since.nodes :]:
            _replace(node.input, old, new)
            _replace(node.output, old, new)
        for key in list(islice(reversed(self.cache), len(self.cache) - since.cached)):
            if self.cache[key] == old:
                self.cache[key] = new
        for known in (self.makers, self.grids):
            if old in known:
                known[new] = known.pop(old)

    # -- nodes and constants ----------------------------------------------------------------

    def add(
        self,
        op: str,
        inputs: Sequence[str | None],
        *,
        name: str,
        output: str,
        doc: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Append a node of one result, and return the result's name.

        Args:
            op: ONNX's name of the operator.
            inputs: names of values; None and what follows none is left out.
            name: what the node is called; made unique.
            output: what its result is called; made unique.
            doc: what the file tells of the node.
            domain: whose operator it is; ONNX's own if empty.
            attributes: those of the operator; None is left out.
        """
        result = self.fresh(output)
        given = {key: value for key, value in attributes.items() if value is not None}
        names = [name or "" for name in inputs]
        while names and not names[-1]:
            names.pop()
        made = onnx.helper.make_node(
            op, names, [result], name=self.fresh(name), doc_string=doc or None, domain=domain or None, **given
        )
        self.nodes.append(made)
        self.makers[result] = made
        return result

    def constant(self, value: Any, wish: str, element: int | None = None, *, own: bool = False) -> str:
        """An initializer; equal small ones are one.

        Args:
            value: an array, or what numpy makes one of.
            wish: what it is called, if it is new.
            element: ONNX's element type where numpy has none, such as INT4 and INT2.
            own: whether nothing else may use it.
        """
        array = np.asarray(value)

        def make() -> str:
            name = self.fresh(wish)
            self.initializers[name] = _tensor(array, name, element)
            return name

        if own or array.size > 16:
            return make()
        return self.once(("constant", element, array.dtype.str, array.shape, array.tobytes()), make)

    def once(self, key: Hashable, make: Callable[[], str]) -> str:
        """The value that ``make`` makes, or made when it was last asked for by an equal key."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def ints(self, *values: int) -> str:
        """A vector of integers, as axes and shapes are given."""
        return self.constant(
            np.array(values, np.int64), "ints_" + "_".join(map(str, values)).replace("-", "m")
        )

    # -- dimensions -------------------------------------------------------------------------

    def dim(self, value: Dim) -> str:
        """A vector of the one number that a dimension is."""
        if isinstance(value, int):
            return self.ints(value)
        return self._evaluate(ast.parse(str(value), mode="eval").body)

    def scalar(self, value: Dim) -> str:
        """A dimension as a number without dimensions."""
        if isinstance(value, int):
            return self.constant(np.int64(value), f"int_{value}".replace("-", "m"))
        vector = self.dim(value)
        return self._once("Squeeze", (vector, self.ints(0)), f"{vector}_scalar")

    def shape(self, dims: Sequence[Dim]) -> str:
        """A vector of dimensions."""
        known = [d for d in dims if isinstance(d, int)]
        if len(known) == len(dims):
            return self.ints(*known)
        parts = tuple(self.dim(d) for d in dims)
        return parts[0] if len(parts) == 1 else self._once("Concat", parts, "shape", axis=0)

    def _evaluate(self, tree: ast.expr) -> str:
        match tree:
            case ast.Constant(value=int(value)):
                return self.ints(value)
            case ast.Name(id=name):
                return self._symbol(name)
            case ast.UnaryOp(operand=operand):
                return self._once("Neg", (self._evaluate(operand),), "dim")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._once(_BINARY[type(op)], (self._evaluate(left), self._evaluate(right)), "dim")
            case ast.Call(func=ast.Name(id="max" | "min" as name), args=args):
                return self._once(name.title(), tuple(self._evaluate(a) for a in args), "dim")
            case _:
                raise MaseError.of(f"dimension {ast.unparse(tree)} has no form in ONNX")

    def _symbol(self, name: str) -> str:
        if name not in self._symbols:
            raise MaseError.of(
                f"dimension {name!r} is that of no input, so the file cannot compute it",
                help="capture the model with this dimension named in its inputs, or with a fixed size",
            )
        source, axis = self._symbols[name]
        return self._once("Shape", (source,), f"dim_{name}", start=axis, end=axis + 1)

    def _once(self, op: str, inputs: tuple[str, ...], wish: str, **attributes: Any) -> str:
        """A node that is made but once for equal inputs."""
        key = (op, inputs, tuple(sorted(attributes.items())))
        return self.once(key, lambda: self.add(op, inputs, name=f"/shapes/{op}", output=wish, **attributes))


def _replace(names: MutableSequence[str], old: str, new: str) -> None:
    for i, name in enumerate(names):
        if name == old:
            names[i] = new


def _tensor(array: NDArray[Any], name: str, element: int | None) -> TensorProto:
    if element is None:
        return onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
    made = TensorProto(name=name, data_type=element, dims=array.shape)  # pyright: ignore[reportArgumentType]
    made.raw_data = _packed(array, _SUB_BYTE[element])
    return made


_SUB_BYTE: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}


def _packed(array: NDArray[Any], bits: int) -> bytes:
    """Codes of 2 or 4 bits, the first in the lowest bits of each byte."""
    per_byte = 8 // bits
    codes = array.astype(np.uint8).ravel() & np.uint8(2**bits - 1)
    codes = np.pad(codes, (0, -len(codes) % per_byte)).reshape(-1, per_byte)
    return np.bitwise_or.reduce(codes << np.arange(0, 8, bits, dtype=np.uint8), axis=1).tobytes()


def symbols_of(inputs: Mapping[str, Sequence[Dim]]) -> dict[str, tuple[str, int]]:
    """Where each symbolic dimension is to be read: the first input that has it, and its axis."""
    found: dict[str, tuple[str, int]] = {}
    for name, shape in inputs.items():
        for axis, d in enumerate(shape):
            if isinstance(d, Expr) and str(d).isidentifier():
                found.setdefault(str(d), (name, axis))
    return found
