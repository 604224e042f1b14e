"""Types of the values that torch hands over: tensors on any device, symbolic sizes, tuples, None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from mase.frontends.internals import symbol_text
from mase.ir.diagnostics import MaseError
from mase.ir.dim import Dim, Expr, parse_dim, symbol
from mase.ir.formats import Dtype
from mase.ir.types import NoneType, ScalarType, TensorType, TupleType, Type

__all__ = ["Dims", "format_of", "tensor_type"]

_SYMBOL = re.compile(r"\b[a-z]+\d+\b")
_FORMATS: dict[torch.dtype, Dtype] = {}


def format_of(dtype: torch.dtype) -> Dtype:
    """The element type of a torch dtype.

    Raises:
        MaseError: if mase has no such element type.

    Example:
        >>> str(format_of(torch.bfloat16))
        'bf16'
    """
    if dtype not in _FORMATS:
        try:
            _FORMATS[dtype] = Dtype.from_torch_name(str(dtype).removeprefix("torch."))
        except ValueError as error:
            raise MaseError.of(
                str(error), help="keep the module that computes with it whole: opaque=(...)"
            ) from None
    return _FORMATS[dtype]


def tensor_type(value: torch.Tensor) -> TensorType:
    """The type of a tensor whose sizes are all known.

    Example:
        >>> str(tensor_type(torch.zeros(2, 3)))
        'f32[2,3]'
    """
    return TensorType(format_of(value.dtype), tuple(value.shape))


class Dims:
    """Names torch's symbolic sizes: ``s77`` becomes what the user called it, ``N``.

    Args:
        names: torch's symbols with the names they shall have; a symbol without one gets ``d0``, ``d1``, ...

    Example:
        >>> dims = Dims({"s77": "N"})
        >>> str(dims.parse("2*s77 + s3"))
        '2*N + d0'
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names = dict(names or {})
        self._parsed: dict[str, Dim] = {}

    def parse(self, text: str) -> Dim:
        """The dimension that torch prints as ``text``; one that has no such form gets a name of its own."""
        if text not in self._parsed:
            try:
                self._parsed[text] = parse_dim(_SYMBOL.sub(lambda m: self._name(m[0]), text))
            except ValueError:
                self._parsed[text] = symbol(self._name(text))
        return self._parsed[text]

    def _name(self, torch_name: str) -> str:
        if torch_name not in self._names:
            taken = set(self._names.values())
            self._names[torch_name] = next(n for i in range(len(taken) + 1) if (n := f"d{i}") not in taken)
        return self._names[torch_name]

    def of(self, size: int | torch.SymInt) -> Dim:
        """The dimension of one size."""
        if isinstance(size, torch.SymInt):
            return self.parse(symbol_text(size))
        return int(size)

    def type_of(self, value: Any) -> Type:
        """The type of any value of a trace.

        Raises:
            MaseError: if it is of a kind that no graph can hold.
        """
        match value:
            case torch.Tensor():
                return TensorType(format_of(value.dtype), tuple(self.of(d) for d in value.shape))
            case bool() | torch.SymBool():
                return ScalarType("bool")
            case int() | torch.SymInt():
                return ScalarType("int", _known(self.of(value)))
            case float() | torch.SymFloat():
                return ScalarType("float")
            case None:
                return NoneType()
            case tuple() | list():
                elements: list[Any] = [*value]
                return TupleType(tuple(self.type_of(v) for v in elements))
            case dict():
                return self.type_of(list(value.values()))  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
            case _:
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                raise MaseError.of(
                    f"a value of type {kind} cannot be part of a graph",
                    help="keep the module that makes it whole: opaque=(...)",
                )


def _known(value: Dim) -> Dim | None:
    """A negative size is no type's business; any other is."""
    return value if isinstance(value, Expr) or value >= 0 else None
