"""Module classes made from quantized ops: the arithmetic of the float op, the formats of the family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from torch import nn

from mase.ir import MaseError, Op
from mase.ir.family import families, family_title
from mase.ir.ops import tensor
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.modules.base import QuantizedModule

__all__ = ["arithmetic", "module_name", "module_names", "quantized_module"]

C = TypeVar("C", bound=type[QuantizedModule])

_ARITHMETIC: dict[type[Op], tuple[type[nn.Module], ...]] = {}
_MADE: dict[type[QuantizedOp], type[QuantizedModule]] = {}
_NAMES: dict[type[Op], str] = {tensor.MatMul: "Matmul"}
_HOME = "mase.runtime.modules"  # where pickle looks for the classes


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


def quantized_module(op: type[QuantizedOp], *, doc: str = "") -> type[QuantizedModule]:
    """The module class of a quantized op; the same class each time.

    Args:
        op: an op made by `mase.ir.ops.quantized.derive`.
        doc: the docstring of the class, where it is made for the first time.

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
        raise MaseError.of(
            f"op {op.name} has no module",
            help=f"register one, arithmetic({op.base.__name__}, ...), or leave its quantized_roles empty",
        )
    members = {"op_class": op, "__module__": _HOME, "__doc__": doc or _doc(op)}
    made = cast("type[QuantizedModule]", type(module_name(op), _ARITHMETIC[op.base], members))
    _MADE[op] = made
    return made


def module_name(op: type[QuantizedOp]) -> str:
    """What the module class of a quantized op is called.

    Example:
        >>> from mase.ir.ops import integer
        >>> module_name(integer.MatMulInteger)
        'MatmulInteger'
    """
    return _NAMES.get(op.base, op.base.__name__) + family_title(op.family)


def module_names() -> Iterator[tuple[str, type[Op], str]]:
    """The name of every class that `quantized_module` can make, with its float op and family."""
    for base in _ARITHMETIC:
        for family in families():
            yield _NAMES.get(base, base.__name__) + family_title(family), base, family


def _doc(op: type[QuantizedOp]) -> str:
    kind = _ARITHMETIC[op.base][-1]
    arguments = f"as of `{kind.__name__}`" if len(_ARITHMETIC[op.base]) > 1 else "none"
    roles = ", ".join(f"``{role}``" for role in op.roles)
    return f"""``{op.base.name}`` of operands quantized to the {op.family} family: ``{op.name}`` as a module.

    Args:
        args: {arguments}.
        config: the formats of {roles}
            and ``data_out``, as text or keyed; see `QuantizedModule`.
    """
