"""Module classes made from quantized ops: the arithmetic of the float op, the formats of the family."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from torch import nn

from mase.ir import MaseError, Op
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.modules.base import QuantizedModule

__all__ = ["arithmetic", "quantized_module"]

C = TypeVar("C", bound=type[QuantizedModule])

_ARITHMETIC: dict[type[Op], tuple[type[nn.Module], ...]] = {}
_MADE: dict[type[QuantizedOp], type[QuantizedModule]] = {}


def arithmetic(op: type[Op], *modules: type[nn.Module]) -> Callable[[C], C]:
    """Class decorator: let a class compute the quantized ops that are made from ``op``.

    Args:
        op: the float op.
        modules: the torch module that the made classes also inherit from, if there is one.
    """

    def register(cls: C) -> C:
        _ARITHMETIC[op] = (cls, *modules)
        return cls

    return register


def quantized_module(
    op: type[QuantizedOp], *, name: str = "", module: str = __name__, doc: str = ""
) -> type[QuantizedModule]:
    """The module class of a quantized op; the same class each time.

    Args:
        op: an op made by `mase.ir.ops.quantized.derive`.
        name: the name of the class, that of the op's class by default.
        module: the Python module in whose namespace the class will be, for pickling.
        doc: its docstring.

    Raises:
        MaseError: if no arithmetic is known for the op's float op.

    Example:
        >>> from mase.ir.ops import integer
        >>> quantized_module(integer.LinearInteger).__bases__[1]
        <class 'torch.nn.modules.linear.Linear'>
    """
    if op in _MADE:
        return _MADE[op]
    if op.base not in _ARITHMETIC:
        raise MaseError.of(f"op {op.name} has no module", help="register its arithmetic")
    bases = _ARITHMETIC[op.base]
    members = {"op_class": op, "__module__": module, "__doc__": doc or f"``{op.name}`` as a module."}
    made = cast("type[QuantizedModule]", type(name or op.__name__, bases, members))
    _MADE[op] = made
    return made
