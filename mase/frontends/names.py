"""The text of what a traced call calls: ``aten.add.Tensor``, ``operator.mul``, ``torch.Tensor.view``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.fx.node import _get_qualified_name  # pyright: ignore[reportPrivateUsage]

from mase.frontends.internals import is_operator

__all__ = ["call_target", "target_text"]

aten: Any = torch.ops.aten
_PROPERTIES: dict[str, tuple[Any, ...]] = {"shape": ("size",), "mT": ("transpose", -2, -1)}
Call = tuple[str, Sequence[Any], Mapping[str, Any]]


def target_text(target: Any) -> str:
    """The name under which lowering finds a function again.

    An ATen operator is ``aten.<name>.<overload>``, a method ``torch.Tensor.<name>``, any other
    function its qualified Python name.

    Example:
        >>> import operator
        >>> [target_text(f) for f in (torch.ops.aten.add.Tensor, operator.mul, torch.cat)]
        ['aten.add.Tensor', 'operator.mul', 'torch.cat']
    """
    if isinstance(target, str):
        return f"torch.Tensor.{target}"
    if is_operator(target):
        return str(target) if target.namespace == "aten" else f"torch.ops.{target}"
    if getattr(target, "__module__", None) == "builtins":
        return f"builtins.{target.__name__}"
    name = _get_qualified_name(target)
    return name.removeprefix("_") if name.startswith("_operator.") else name


def call_target(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """The text of a traced call's function, and its arguments without the device of the trace."""
    if target is aten.to.device:
        return "aten.to.dtype", (args[0], *args[2:]), kwargs
    if target is getattr and args[1] in _PROPERTIES:
        method, *more = _PROPERTIES[args[1]]
        return f"torch.Tensor.{method}", (args[0], *more), kwargs
    return target_text(target), args, kwargs
