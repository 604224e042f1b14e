"""Nested values taken apart into their tensors and a layout that is text: a graph's output structure.

A layout is a nested value whose tensors are `Hole` and whose dataclass-like objects are `Record`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import fx
from torch.utils import _pytree as pytree

from mase.ir.diagnostics import MaseError
from mase.ir.records import record_kind
from mase.ir.template import Hole, Record, Template

__all__ = ["class_name", "flatten", "is_record", "keys", "parts", "paths", "rebuild", "refusal"]

_CLASSES: dict[str, type[Any]] = {}  # those that were taken apart in this process
_LEAF = (torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool, fx.Proxy)


def class_name(cls: type[Any]) -> str:
    """The qualified name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def flatten(value: Any) -> tuple[list[Any], Any]:
    """The tensors (and symbolic numbers) of a nested value in order, and its layout.

    Raises:
        MaseError: if something in it is neither a tensor nor a literal nor a known container.

    Example:
        >>> leaves, layout = flatten({"y": torch.zeros(2), "aux": (None, torch.ones(1))})
        >>> len(leaves), layout
        (2, {'y': Hole(index=0), 'aux': (None, Hole(index=1))})
    """
    leaves: list[Any] = []
    return leaves, _walk(value, leaves)


def rebuild(layout: Any, leaves: Sequence[Any]) -> Any:
    """The value that `flatten` took apart, with other leaves in place of its own.

    Example:
        >>> _, layout = flatten([torch.zeros(2), None])
        >>> rebuild(layout, ["a"])
        ['a', None]
    """
    return Template.of(layout).fill(lambda i: leaves[i], named=str, record=_made)


def _made(cls: str, fields: Mapping[str, Any]) -> Any:
    kind = record_kind(cls)
    return (kind.make if kind else _CLASSES[cls])(**fields)


def parts(layout: Any) -> list[Any] | None:
    """The direct parts of a container's layout in order; None for a leaf."""
    match layout:
        case Record(fields=fields):
            return [part for _, part in fields]
        case dict():
            return list(layout.values())  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        case list() | tuple():
            return list(layout)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        case _:
            return None


def paths(layout: Any, prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The place of each hole of a layout, as positions from the outermost container inwards.

    Example:
        >>> list(paths((Hole(0), {"aux": None, "y": Hole(1)})))
        [(0, (0,)), (1, (1, 1))]
    """
    if isinstance(layout, Hole):
        yield layout.index, prefix
    for i, part in enumerate(parts(layout) or ()):
        yield from paths(part, (*prefix, i))


def keys(layout: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The place of each hole of a layout, as the attributes, keys and indices that lead there.

    Example:
        >>> list(keys({"y": [Hole(0)]}))
        [(0, (MappingKey(key='y'), SequenceKey(idx=0)))]
    """
    if isinstance(layout, Hole):
        yield layout.index, prefix
    for step, part in _steps(layout):
        yield from keys(part, (*prefix, step))


def _steps(layout: Any) -> Iterator[tuple[Any, Any]]:
    """The direct parts of a container's layout, each with how one gets there."""
    key: Any = pytree.MappingKey
    index: Any = pytree.SequenceKey
    match layout:
        case Record(fields=fields):
            yield from ((pytree.GetAttrKey(name), part) for name, part in fields)
        case dict():
            yield from ((key(k), part) for k, part in cast("dict[Any, Any]", layout).items())
        case list() | tuple():
            yield from ((index(i), part) for i, part in enumerate(cast("list[Any]", layout)))
        case _:
            pass


def is_record(value: Any) -> bool:
    """Whether a value is an object that comes apart into fields, and no plain container."""
    return _fields(value) is not None


def refusal(value: Any) -> str | None:
    """Why an object, or one inside it, cannot be an input of a graph; None if it can."""
    known = record_kind(class_name(cast(Any, type)(value)))
    reason = known.refusal(value) if known else None
    inner: list[Any] = [*(_fields(value) or {}).values()]
    if isinstance(value, list | tuple):
        inner = [*cast("list[Any]", value)]
    return reason or next((r for v in inner if (r := refusal(v))), None)


def _walk(value: Any, leaves: list[Any]) -> Any:
    kind = cast(Any, type)(value)
    if isinstance(value, _LEAF):
        leaves.append(value)
        return Hole(len(leaves) - 1)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    fields = _fields(value)
    if fields is not None:
        _CLASSES[class_name(kind)] = kind
        return Record(class_name(kind), tuple((k, _walk(v, leaves)) for k, v in fields.items()))
    if isinstance(value, tuple | list | dict):
        return _builtin(value, leaves)
    raise MaseError.of(
        f"the model takes or returns a {class_name(kind)}, which is neither a tensor nor a known container",
        help="use a tuple, dict or dataclass, or say how it comes apart with mase.ir.records.register_record",
    )


def _builtin(value: Any, leaves: list[Any]) -> Any:
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {k: _walk(v, leaves) for k, v in items}
    inner: list[Any] = [_walk(v, leaves) for v in value]
    return inner if isinstance(value, list) else tuple(inner)


def _fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of a dataclass-like object; None for a plain container."""
    kind = cast(Any, type)(value)
    if (known := record_kind(class_name(kind))) is not None:
        return known.fields(value)
    if dataclasses.is_dataclass(kind) and hasattr(kind, "keys"):
        return dict(cast("Mapping[str, Any]", value))  # a ModelOutput: its fields that are not None
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    return value._asdict() if hasattr(kind, "_fields") and hasattr(kind, "_asdict") else None
