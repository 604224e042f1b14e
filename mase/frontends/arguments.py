"""The example arguments of a capture: bound to the model's signature and taken apart into tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from mase.frontends.layout import flatten, is_record, keys, rebuild, refusal
from mase.ir.diagnostics import MaseError, closest

__all__ = ["Argument", "Arguments"]


@dataclass(frozen=True)
class Argument:
    """One tensor among the arguments.

    Args:
        name: what the graph's input is called.
        path: where the tensor lies, ``past[0]``; empty if it is the argument ``name`` itself.
        value: the example.
        place: where `Arguments` keeps it: under its argument, at a position among the leaves of that,
            and at a position inside a leaf that is an object.
    """

    name: str
    path: str
    value: torch.Tensor
    place: tuple[str, int, int]


class Arguments:
    """The arguments of one call of a model.

    Args:
        model: the model.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Raises:
        MaseError: if they do not fit the signature of ``forward`` or hold no tensor.

    Example:
        >>> class Net(nn.Module):
        ...     def forward(self, x, past=None, scale=2.0): ...
        >>> arguments = Arguments(Net(), (torch.ones(2),), {"past": [torch.zeros(1)]})
        >>> [(a.name, a.path) for a in arguments.tensors]
        [('x', ''), ('past_0', 'past[0]')]
    """

    def __init__(self, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> None:
        _check_kinds(model, args)
        self._signature = inspect.signature(model.forward)
        self._bound = _bind(model, self._signature, tuple(args), dict(kwargs or {}))
        self._flat: dict[str, tuple[list[Any], pytree.TreeSpec]] = {}
        self.tensors: list[Argument] = []
        for name, value in self._bound.arguments.items():
            pairs, spec = pytree.tree_flatten_with_path(value, is_leaf=is_record)
            self._flat[name] = ([leaf for _, leaf in pairs], spec)
            self.tensors += self._arguments(name, pairs)
        self.tensors = _distinct(self.tensors)
        if not self.tensors:
            raise MaseError.of(
                f"cannot capture {type(model).__name__} without an example tensor",
                help=f"pass example inputs: trace(model, (x,)); forward takes {self._signature}",
            )

    def _arguments(self, name: str, pairs: list[tuple[Any, Any]]) -> Iterator[Argument]:
        kind = self._signature.parameters[name].kind
        for i, (path, leaf) in enumerate(pairs):
            for j, inner, tensor in _tensors(leaf):
                way = [*path, *inner]
                root = name
                if kind is inspect.Parameter.VAR_KEYWORD:
                    root, way = str(way[0].key), way[1:]
                nested = "".join(_step(k) for k in way)
                label = "_".join([root, *(_word(k) for k in way)])
                yield Argument(label, root + nested if nested else "", tensor, (name, i, j))

    def tensor_arguments(self) -> dict[str, Any]:
        """What a lowered graph takes, by keyword: the arguments that hold tensors, without the others."""
        roots = dict.fromkeys(place[0] for place in (a.place for a in self.tensors))
        given: dict[str, Any] = {}
        for name in roots:
            value = self._bound.arguments[name]
            variable = self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            given |= value if variable else {name: value}
        return given

    def fresh(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The example arguments for one call, which may change the objects among them (a cache grows)."""
        return self.rebuild([a.value for a in self.tensors])

    def rebuild(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments with other values in place of the tensors."""
        given = {a.place: value for a, value in zip(self.tensors, tensors, strict=True)}
        bound = inspect.BoundArguments(self._signature, type(self._bound.arguments)())
        for name, (flat, spec) in self._flat.items():
            filled = [_filled(leaf, given, (name, i)) for i, leaf in enumerate(flat)]
            bound.arguments[name] = pytree.tree_unflatten(filled, spec)
        return bound.args, bound.kwargs


def _distinct(arguments: list[Argument]) -> list[Argument]:
    """The same, where a tensor that was given twice is two: a trace would take one input for the other."""
    seen: set[int] = set()
    found: list[Argument] = []
    for argument in arguments:
        again = id(argument.value) in seen
        found.append(replace(argument, value=argument.value.detach().clone()) if again else argument)
        seen.add(id(argument.value))
    return found


def _tensors(leaf: Any) -> Iterator[tuple[int, tuple[Any, ...], torch.Tensor]]:
    """The tensors of a leaf: itself, or those in the fields of an object, with the way to each."""
    if isinstance(leaf, torch.Tensor):
        yield 0, (), leaf
    elif is_record(leaf):
        if reason := refusal(leaf):
            raise MaseError.of(f"an example argument cannot be an input of a graph: {reason}")
        parts, layout = flatten(leaf)
        yield from ((j, way, parts[j]) for j, way in keys(layout))


def _filled(leaf: Any, given: Mapping[tuple[str, int, int], Any], place: tuple[str, int]) -> Any:
    """The leaf with other values in place of its tensors; an object becomes a new one."""
    if isinstance(leaf, torch.Tensor):
        return given[(*place, 0)]
    if not is_record(leaf):
        return leaf
    parts, layout = flatten(leaf)
    return rebuild(layout, [given[(*place, j)] for j in range(len(parts))])


def _check_kinds(model: object, args: object) -> None:
    """What is no module has no ``forward``; a tensor is a sequence of its rows, which nobody means."""
    if not isinstance(model, nn.Module):
        kind = f"the class {model.__name__}" if inspect.isclass(model) else f"a {type(model).__name__}"
        raise MaseError.of(f"expected an nn.Module, found {kind}", help="give an instance of the model")
    if isinstance(args, Tensor):
        raise MaseError.of("args is a tensor", help="write it as a tuple: trace(model, (x,))")


def _bind(
    model: nn.Module, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = next((k for k in kwargs if k not in known), None)
        takes = f"{type(model).__name__}.forward takes {', '.join(known)}"
        close = closest(unknown, known) if unknown else None
        found = f"it has no {unknown!r}" if unknown else str(error)
        raise MaseError.of(
            f"the example arguments do not fit the model: {found}",
            help=close or takes,
        ) from None


def _step(key: Any) -> str:
    match key:
        case pytree.SequenceKey(idx=idx):
            return f"[{idx}]"
        case pytree.GetAttrKey(name=name):
            return f".{name}"
        case pytree.MappingKey(key=inner):  # pyright: ignore[reportUnknownVariableType]
            return f"[{inner!r}]"
        case _:
            return f"[{key}]"


def _word(key: Any) -> str:
    for attribute in ("idx", "name", "key"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
