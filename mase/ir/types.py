"""The types of values: tensors with symbolic shapes, scalars, tuples and none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from mase.ir.diagnostics import MaseError
from mase.ir.dim import Dim, Expr, parse_dim
from mase.ir.format import Format, parse_format

__all__ = ["NoneType", "ScalarType", "Shape", "TensorType", "TupleType", "Type", "parse_type"]

Shape = tuple[Dim, ...]


@dataclass(frozen=True)
class TensorType:
    """A tensor: the format of its elements and its shape.

    Example:
        >>> t = parse_type("f32[N,256]")
        >>> str(t), t.rank
        ('f32[N,256]', 2)
    """

    format: Format
    shape: Shape

    def __str__(self) -> str:
        return f"{self.format}[{','.join(map(str, self.shape))}]"

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def numel(self) -> Dim:
        """The number of elements."""
        total: Dim = 1
        for d in self.shape:
            total = total * d
        return total

    def with_format(self, format: Format) -> TensorType:
        """The same shape in another format."""
        return TensorType(format, self.shape)

    def with_shape(self, shape: Sequence[Dim]) -> TensorType:
        """The same format in another shape."""
        return TensorType(self.format, tuple(shape))


@dataclass(frozen=True)
class ScalarType:
    """A Python number in the graph, such as a symbolic size; ``value`` is its expression if known.

    Example:
        >>> str(ScalarType("int", 4))
        'int(4)'
    """

    kind: Literal["int", "float", "bool"]
    value: Dim | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}({self.value})"


@dataclass(frozen=True)
class TupleType:
    """Several values at once, taken apart by ``core.getitem``.

    Example:
        >>> str(parse_type("(f32[N], int)"))
        '(f32[N], int)'
    """

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.elements))})"


@dataclass(frozen=True)
class NoneType:
    """The type of ``None``, as some modules return beside a tensor."""

    def __str__(self) -> str:
        return "none"


Type = TensorType | ScalarType | TupleType | NoneType

_TENSOR = re.compile(r"(?P<format>[^\[\]]+)\[(?P<shape>[^\[\]]*)\]")
_SCALAR = re.compile(r"(?P<kind>int|float|bool)(?:\((?P<value>.*)\))?")


def _split(text: str) -> list[str]:
    """Split at top-level commas."""
    parts, depth, start = list[str](), 0, 0
    for i, c in enumerate(text):
        depth += (c in "([<") - (c in ")]>")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [p.strip() for p in parts if p.strip()]


def parse_type(text: str) -> Type:
    """Read a type: ``f32[N,256]``, ``int``, ``(f32[N], f32[N])``, ``none``.

    Raises:
        MaseError: if the text is malformed or names an unknown format.
    """
    text = text.strip()
    if text == "none":
        return NoneType()
    if text.startswith("(") and text.endswith(")"):
        return TupleType(tuple(parse_type(t) for t in _split(text[1:-1])))
    if match := _TENSOR.fullmatch(text):
        shape = tuple(_dimension(d, text) for d in _split(match["shape"]))
        return TensorType(parse_format(match["format"]), shape)
    if match := _SCALAR.fullmatch(text):
        kind = cast(Literal["int", "float", "bool"], match["kind"])
        return ScalarType(kind, _dimension(match["value"], text) if match["value"] else None)
    raise MaseError.of(f"malformed type {text!r}", help="write it like f32[N,256] or int")


def _dimension(text: str, whole: str) -> Dim:
    try:
        value = parse_dim(text)
    except ValueError as error:
        raise MaseError.of(f"bad type {whole!r}: {error}") from None
    if isinstance(value, int) and value < 0:
        raise MaseError.of(f"bad type {whole!r}: a dimension is negative")
    return value


def symbols_of(value: Type) -> frozenset[str]:
    """The dimension names that occur in a type."""
    match value:
        case TensorType(shape=shape):
            return frozenset(s for d in shape if isinstance(d, Expr) for s in d.symbols)
        case TupleType(elements=elements):
            return frozenset(s for e in elements for s in symbols_of(e))
        case ScalarType(value=Expr() as expr):
            return expr.symbols
        case _:
            return frozenset()
