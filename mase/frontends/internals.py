"""What capture needs of torch beyond its typed public interface, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import fx, nn

__all__ = [
    "argument_names",
    "gives_alias",
    "has_random_result",
    "is_operator",
    "is_plain_symbol",
    "mutates",
    "overload_of",
    "overwrites_first",
    "own_buffers",
    "own_parameters",
    "shares_storage",
    "storage_of",
    "submodules",
    "symbol_text",
    "transient_buffers",
]

aten: Any = torch.ops.aten


def is_operator(target: object) -> bool:
    """Whether a traced call's function is an ATen operator or one that a library registered."""
    return isinstance(target, torch._ops.OpOverload)  # pyright: ignore[reportPrivateUsage]


def is_higher_order(target: object) -> bool:
    """Whether a traced call's function takes sub-graphs."""
    return isinstance(target, torch._ops.HigherOrderOperator)  # pyright: ignore[reportPrivateUsage]


def mutates(target: Any) -> bool:
    """Whether an operator writes into an operand."""
    return is_operator(target) and bool(target._schema.is_mutable)


def overwrites_first(target: Any) -> bool:
    """Whether an operator writes into its first operand and no other."""
    arguments: list[Any] = target._schema.arguments if is_operator(target) else []
    return [i for i, a in enumerate(arguments) if a.alias_info and a.alias_info.is_write] == [0]


def argument_names(target: Any) -> list[str]:
    """The names of an operator's arguments."""
    return [a.name for a in target._schema.arguments]


def gives_alias(target: Any) -> bool:
    """Whether an operator's result may share memory with its first operand."""
    return is_operator(target) and any(r.alias_info is not None for r in target._schema.returns)


def has_random_result(target: Any) -> bool:
    """Whether an operator draws random numbers."""
    return torch.Tag.nondeterministic_seeded in target.tags


def overload_of(name: str, like: Any) -> Any:
    """The ATen operator ``name`` in the overload of another operator; None if there is none."""
    return getattr(getattr(aten, name, None), like._overloadname, None)


def operator_name(target: Any) -> str:
    """An operator's name without namespace and overload."""
    return target._schema.name.partition("::")[2]


def storage_of(value: object) -> int | None:
    """What two tensors have in common if and only if they share memory; None for other values."""
    return value.untyped_storage()._cdata if isinstance(value, torch.Tensor) else None  # pyright: ignore[reportPrivateUsage]


def shares_storage(node: fx.Node, other: fx.Node) -> bool:
    """Whether the tensors that two traced calls give share memory."""
    storage = storage_of(node.meta.get("val"))
    return storage is not None and storage == storage_of(other.meta.get("val"))


def symbol_text(size: torch.SymInt) -> str:
    """The expression of a symbolic size, as torch prints it."""
    return str(cast(Any, size).node.expr)


def is_plain_symbol(size: torch.SymInt) -> bool:
    """Whether a symbolic size is one symbol and no expression."""
    return bool(cast(Any, size).node.expr.is_symbol)


def submodules(model: nn.Module, *, every_name: bool = False) -> Iterator[tuple[str, nn.Module]]:
    """The modules of a model by path; one with several paths under the first, or under every one."""
    yield from cast(Any, model).named_modules(remove_duplicate=not every_name)


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a module itself, without those of its children."""
    return {name: p for name, p in cast(Any, module)._parameters.items() if p is not None}


def own_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    """The buffers of a module itself, without those of its children."""
    return {name: b for name, b in cast(Any, module)._buffers.items() if b is not None}


def transient_buffers(module: nn.Module) -> set[str]:
    """The names of a module's own buffers that its ``state_dict`` leaves out."""
    return cast(Any, module)._non_persistent_buffers_set
