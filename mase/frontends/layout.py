"""Nested values taken apart into their tensors and a layout that is text: a graph's output structure.

A layout is a nested value whose tensors are `Hole` and whose dataclass-like objects are `Record`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import fx

from mase.ir.diagnostics import MaseError
from mase.ir.template import Hole, Record, Template

__all__ = ["class_name", "flatten", "parts", "paths", "rebuild", "register_fields"]

Fields = Callable[[Any], Mapping[str, Any]]
F = TypeVar("F", bound=Fields)

_FIELDS: dict[str, Fields] = {}
_CLASSES: dict[str, type[Any]] = {}  # those that were taken apart in this process
_LEAF = (torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool, fx.Proxy)


def class_name(cls: type[Any]) -> str:
    """The qualified name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def register_fields(qualified_name: str) -> Callable[[F], F]:
    """Say how a class that is neither a dataclass nor a mapping comes apart.

    The decorated function gives, for an object, the keyword arguments that make an equal one.
    """

    def register(fields: F) -> F:
        _FIELDS[qualified_name] = fields
        return fields

    return register


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
    return Template.of(layout).fill(
        lambda i: leaves[i], named=str, record=lambda cls, fields: _CLASSES[cls](**fields)
    )


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
        f"the model returns a {class_name(kind)}, which is neither a tensor nor a known container",
        help="return a tuple, dict or dataclass, or say how it comes apart with "
        "mase.frontends.layout.register_fields",
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
    known = next((_FIELDS[name] for cls in kind.__mro__ if (name := class_name(cls)) in _FIELDS), None)
    if known is not None:
        return known(value)
    if dataclasses.is_dataclass(kind) and hasattr(kind, "keys"):
        return dict(cast("Mapping[str, Any]", value))  # a ModelOutput: its fields that are not None
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    return value._asdict() if hasattr(kind, "_fields") and hasattr(kind, "_asdict") else None


@register_fields("transformers.cache_utils.DynamicCache")
def _dynamic_cache(cache: Any) -> Mapping[str, Any]:
    """The key-value cache of a causal model: one (keys, values) pair a layer."""
    return {"ddp_cache_data": [(layer.keys, layer.values) for layer in cache.layers]}
