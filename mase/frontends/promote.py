"""Promotion: a module that cannot be traced becomes an opaque leaf whose result is known by example."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from mase.frontends.internals import submodules
from mase.frontends.layout import flatten, rebuild

__all__ = ["culprit", "result_by_example"]


def culprit(
    error: BaseException, model: nn.Module, leaves: Collection[str], known: Collection[str]
) -> str | None:
    """The path of the innermost module on the stack of ``error`` that promotion may still help.

    Args:
        error: what the trace raised.
        model: the model, itself never a culprit.
        leaves: paths of the leaves; a module inside one stands for it.
        known: paths of modules whose results are known by example already.
    """
    paths = {id(module.__dict__): path for path, module in submodules(model) if path}
    for each in _causes(error):
        for frame, _ in reversed(list(traceback.walk_tb(each.__traceback__))):
            module = frame.f_locals.get("self")
            path = paths.get(id(module.__dict__)) if isinstance(module, nn.Module) else None
            if path is not None:
                path = next((leaf for leaf in leaves if path.startswith(f"{leaf}.")), path)
            if path is not None and path not in known:
                return path
    return None


def _causes(error: BaseException) -> list[BaseException]:
    """The exception that started it first."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain[::-1]


def result_by_example(
    model: nn.Module, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[..., Any]:
    """What module ``path`` gives, by one run of the model: results whose sizes follow the operands'.

    A size of a result that equals a size of an operand, first of all one of the same dimension, is
    taken to be that one. The run disturbs neither the training flags nor the random state.
    """
    calls: list[tuple[list[Any], Any]] = []

    def record(_module: nn.Module, given: Any, named: Any, result: Any) -> None:
        calls.append((pytree.tree_leaves((given, named)), result))

    flags = {module: module.training for module in model.modules()}
    handle = model.get_submodule(path).register_forward_hook(record, with_kwargs=True)
    try:
        with torch.no_grad(), torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
            model.eval()(*args, **kwargs)
    finally:
        handle.remove()
        for module, training in flags.items():
            module.training = training
    if not calls:
        raise RuntimeError(f"module {path!r} is not called in eval mode")
    return _ByExample(*calls[0])


class _ByExample:
    """A module's result on fake tensors, by what it gave once."""

    def __init__(self, operands: list[Any], result: Any) -> None:
        self._results, self._layout = flatten(result)
        self._sizes = [
            (i, d, size)
            for i, operand in enumerate(operands)
            if isinstance(operand, torch.Tensor)
            for d, size in enumerate(operand.shape)
        ]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        operands = pytree.tree_leaves((args, kwargs))
        device = next(o.device for o in operands if isinstance(o, torch.Tensor))

        def fake(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            shape = [self._size(operands, d, size) for d, size in enumerate(value.shape)]
            return torch.empty(shape, dtype=value.dtype, device=device)

        return rebuild(self._layout, [fake(value) for value in self._results])

    def _size(self, operands: list[Any], dimension: int, size: int) -> Any:
        by_dimension = sorted(self._sizes, key=lambda s: s[1] != dimension)
        return next((operands[i].shape[d] for i, d, known in by_dimension if known == size), size)
