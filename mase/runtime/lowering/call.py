"""Lowering of ``torch.call`` and ``torch.module``: what text may name, and nothing beyond it.

A graph.toml is data. So a call's target is looked up in a closed list (ATen operators, torch's
overridable functions and methods, arithmetic of Python), never imported from an arbitrary place.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn as torch_nn
from torch.overrides import get_overridable_functions

from mase.ir import Dtype, MaseError, Node, parse_format
from mase.ir.diagnostics import did_you_mean
from mase.ir.ops import torch as ops
from mase.ir.ops.recurrent import Lstm
from mase.ir.template import Hole, Template
from mase.runtime.kernels.dtype import torch_dtype
from mase.runtime.lowering.registry import Function, Source, to_module

__all__ = ["call", "named", "opaque"]

_BUILTINS = ("abs", "bool", "divmod", "float", "int", "len", "max", "min", "pow", "round", "sum")
# fmt: off
_FACTORIES = (
    "arange", "empty", "empty_strided", "eye", "full", "linspace", "logspace", "ones", "rand", "randint",
    "randn", "randperm", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros",
)
_SYMBOLIC = ("sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not", "sym_sqrt", "sym_sum")
# fmt: on
_REFUSED = frozenset({"attrgetter", "call", "itemgetter", "methodcaller", "from_file", "setitem", "delitem"})
_Packet: Any = type(torch.ops.aten.add)
_Overload: Any = type(torch.ops.aten.add.Tensor)
_CONSTANTS = (torch.dtype, torch.layout, torch.memory_format)


@cache
def _functions() -> dict[str, Callable[..., Any] | str]:
    """Every qualified name that a call may have beside ATen's; methods are given by their bare name."""
    known: dict[str, Callable[..., Any] | str] = {
        f"builtins.{n}": cast("Callable[..., Any]", getattr(builtins, n)) for n in _BUILTINS
    }
    for module in (operator, math):
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("_") and name not in _REFUSED:
                known[f"{module.__name__}.{name}"] = value
    known |= {f"torch.{n}": getattr(torch, n) for n in (*_FACTORIES, *_SYMBOLIC) if hasattr(torch, n)}
    for space, functions in cast("dict[Any, list[Any]]", get_overridable_functions()).items():
        if not isinstance(space, type | ModuleType):
            continue  # properties of tensors
        prefix = "torch.Tensor" if space is torch.Tensor else space.__name__
        for function in functions:
            name = cast(str, getattr(function, "__name__", "__"))
            if not name.startswith("_") and name not in _REFUSED and hasattr(space, name):
                known[f"{prefix}.{name}"] = name if space is torch.Tensor else function
    return known


def _target(name: str, source: Source) -> Callable[..., Any] | str:
    if name.startswith("aten."):
        return _aten(name, source)
    if name not in _functions():
        raise source.error(f"unknown function {name!r}", help=did_you_mean(name, _functions()))
    return _functions()[name]


def _aten(name: str, source: Source) -> Callable[..., Any]:
    _, operation, overload = (*name.split("."), "default")[:3]
    packet: Any = None if operation in _REFUSED else getattr(torch.ops.aten, operation, None)
    overloads: list[str] = packet.overloads() if isinstance(packet, _Packet) else []
    if overload not in overloads:
        known = [f"aten.{operation}.{o}" for o in overloads]
        raise source.error(f"unknown operator {name!r}", help=did_you_mean(name, known))
    return getattr(packet, overload)


def named(name: str) -> Any:
    """The constant of torch that a template names: a dtype by format (``f32``) or ``torch.strided``.

    Raises:
        MaseError: if it names anything else.

    Example:
        >>> named("bf16"), named("torch.strided")
        (torch.bfloat16, torch.strided)
    """
    if name.startswith("torch."):
        value = getattr(torch, name.removeprefix("torch."), None)
        if isinstance(value, _CONSTANTS):
            return value
        raise MaseError.of(f"{name!r} is no dtype, layout or memory format of torch")
    format = parse_format(name)
    if not isinstance(format, Dtype):
        raise MaseError.of(f"{name!r} is no element type of torch")
    return torch_dtype(format)


def _arguments(args: Template, kwargs: Template, source: Source) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        return args.fill(Hole, named), kwargs.fill(Hole, named)
    except MaseError as error:
        raise source.error(error.diagnostics[0].message, error.diagnostics[0].help) from None


@to_module.register(ops.Call)
def call(op: ops.Call, source: Source) -> Function:
    """``torch.call``."""
    target = _target(op.target, source)
    args, kwargs = _arguments(op.args, op.kwargs, source)
    on_device = _makes_tensor(target, kwargs)
    if on_device:
        kwargs.pop("device", None)
    return Function(target, args, kwargs, on_device)


def _makes_tensor(target: Callable[..., Any] | str, kwargs: dict[str, Any]) -> bool:
    """Whether a call says, or without operands must be told, on which device its result lies."""
    if kwargs.get("device") is not None:
        return True
    if not isinstance(target, _Overload):
        return target in [getattr(torch, n) for n in _FACTORIES]
    arguments = cast(Any, target)._schema.arguments
    has_device = any(a.name == "device" for a in arguments)
    return has_device and not any("Tensor" in str(a.type) for a in arguments)


@to_module.register(ops.Module)
def opaque(op: ops.Module, source: Source) -> torch_nn.Module:
    """``torch.module``: the submodule of the user's model at the node's scope.

    Raises:
        MaseError: without the model, or if it has another module there.
    """
    remedy = "rebuild the model that the graph was captured from, and pass it as source_model"
    node = source.node
    if source.model is None:
        raise source.error(f"{op.cls} at {node.scope!r} is opaque and needs the source model", help=remedy)
    try:
        module = source.model.get_submodule(node.scope)
    except AttributeError:
        raise source.error(f"the source model has no module {node.scope!r}", help=remedy) from None
    found = f"{type(module).__module__}.{type(module).__qualname__}"
    if found != op.cls:
        raise source.error(f"module {node.scope!r} is {found} in the source model, not {op.cls}", help=remedy)
    # The graph's state replaces these, so they need no copy.
    tensors = dict((*module.named_parameters(), *module.named_buffers()))
    return deepcopy(module, {id(t): t for role, t in tensors.items() if source.has(role)})


def arguments_of(node: Node) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The call arguments with holes of a module that takes more than its operands in a row, else None."""
    if isinstance(node.op, ops.Module):
        return _arguments(node.op.args, node.op.kwargs, Source(node))
    if isinstance(node.op, Lstm) and len(node.inputs) > 1:
        return (Hole(0), (Hole(1), Hole(2))), {}
    return None
