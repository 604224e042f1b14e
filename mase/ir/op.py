"""Operations: frozen keyword-only dataclasses of their attributes, registered under a dialect name.

The signature of `infer` *is* the operand schema: positional parameters are data operands,
``*operands`` takes any number of them, keyword-only parameters are parameter roles (weights and
buffers; ``**roles`` takes any), and a default of None marks an operand or role that may be absent.

    @register_op("nn.linear")
    class Linear(Op):
        '''``data_in @ weight.T + bias``.'''

        def infer(self, data_in: TensorType, *, weight: TensorType, bias: TensorType | None = None) -> Type:
            ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, cast, dataclass_transform

from mase.ir.axes import Axes
from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.types import Type

__all__ = ["Level", "Op", "OpError", "OperandSchema", "get_op", "op_names", "register_dialect", "register_op"]

Level = Literal["float", "quantized", "integer"]

# What a node's line in graph.toml says beside its op's attributes.
RESERVED = frozenset({"op", "in", "params", "type", "scope", "meta"})


class OpError(ValueError):
    """Operands that an op does not accept; the verifier adds where."""


@dataclass(frozen=True)
class OperandSchema:
    """What `infer`'s signature says.

    Args:
        required: names of the data operands that must be present.
        optional: names of the data operands that may follow.
        variadic: whether any number of further data operands may follow.
        roles: parameter roles, each with whether it is required.
        any_role: whether further roles of any name may follow.
        rest: what the further data operands are called.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    variadic: bool
    roles: Mapping[str, bool]
    any_role: bool = False
    rest: str = ""

    @property
    def operands(self) -> tuple[str, ...]:
        """The named data operands in order."""
        return self.required + self.optional

    def operand(self, position: int) -> str:
        """The name of the data operand at a position; those that may follow all have the same.

        Example:
            >>> from mase.ir.ops import nn, tensor
            >>> nn.Linear.schema().operand(0), tensor.Concat.schema().operand(2)
            ('data_in', 'data_in')
        """
        return self.operands[position] if position < len(self.operands) else self.rest


class Op:
    """Base of all operations."""

    name: ClassVar[str]
    """The registered dialect name, such as ``nn.linear``."""
    level: ClassVar[Level] = "float"
    """The lowest graph level at which the op may occur."""
    quantized_roles: ClassVar[tuple[str, ...]] = ()
    """What gets a format in the quantized ops made from this one: operands, parameter roles, or numbers that
    it computes inside. Empty if none are made."""
    off_grid: ClassVar[bool] = False
    """Whether the results of fixed-point operands lie on no grid, so that to compute it with integers is to
    round them to a format: by tables, integer roots and reciprocals."""

    @property
    def pure(self) -> bool:
        """Whether equal operands give equal results with no effect: an unused one may be erased."""
        return True

    def infer(self, *operands: Any, **roles: Any) -> Type:
        """The type of the result for the types of the operands and roles; every op defines it.

        Raises:
            OpError: if the operand types do not fit.
        """
        raise OpError(f"{type(self).__name__} does not define infer()")

    def axes(self, role: str) -> Axes:
        """The dimensions of an operand or result along which blocks of numbers share a scale.

        They are those that the op sums over, so that a scale can be taken out of the sum; else the last.

        Args:
            role: an operand, a parameter role, or ``data_out``.
        """
        return Axes()

    @classmethod
    def schema(cls) -> OperandSchema:
        """The operand schema, read from the signature of `infer`."""
        return _schema(cls)

    def attributes(self) -> dict[str, Any]:
        """The attributes by name, in declaration order."""
        return {f.name: getattr(self, f.name) for f in fields(self)} if is_dataclass(self) else {}


OpT = TypeVar("OpT", bound=type[Op])

_OPS: dict[str, type[Op]] = {}
_DIALECTS: dict[str, tuple[Callable[[str], type[Op] | None], Callable[[], Iterable[str]]]] = {}


@cache
def _schema(cls: type[Op]) -> OperandSchema:
    parameters = list(inspect.signature(cls.infer).parameters.values())[1:]
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return OperandSchema(
        required=tuple(p.name for p in positional if p.default is p.empty),
        optional=tuple(p.name for p in positional if p.default is not p.empty),
        variadic=any(p.kind is p.VAR_POSITIONAL for p in parameters),
        roles={p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY},
        any_role=any(p.kind is p.VAR_KEYWORD for p in parameters),
        rest=next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), ""),
    )


@dataclass_transform(frozen_default=True, kw_only_default=True)
def register_op(name: str) -> Callable[[OpT], OpT]:
    """Class decorator: make a class a frozen keyword-only dataclass known under ``name``.

    Raises:
        ValueError: if the name is taken or an attribute's name is reserved.
    """

    def register(cls: OpT) -> OpT:
        made = dataclass(frozen=True, kw_only=True)(cls)
        clash = RESERVED & {f.name for f in fields(cast(Any, made))}
        if clash:
            raise ValueError(f"{name}: attribute names {sorted(clash)} are reserved")
        known = _OPS.get(name)
        if known is not None and known.__qualname__ != made.__qualname__:
            raise ValueError(f"op name {name!r} is taken by {known.__qualname__}")
        made.name = name
        _OPS[name] = made
        return made

    return register


def register_dialect(
    dialect: str, make: Callable[[str], type[Op] | None], names: Callable[[], Iterable[str]]
) -> None:
    """Let the ops of a dialect be made when they are first asked for.

    Args:
        dialect: what stands before the dot of their names.
        make: registers the op of a name and gives it, None if there is no such op.
        names: every name that it knows.
    """
    _DIALECTS[dialect] = make, names


def get_op(name: str) -> type[Op]:
    """The class registered under ``name``.

    Raises:
        MaseError: if there is none, with a remedy.

    Example:
        >>> import mase.ir
        >>> get_op("nn.linear").schema().roles
        {'weight': True, 'bias': False}
    """
    found = _OPS.get(name) or _make(name)
    if found is None:
        close = did_you_mean(name, op_names())
        plugin = "if a plugin registers it or its format, load that: --load FILE"
        raise MaseError.of(f"unknown op {name!r}", help=f"{close} {plugin}" if close else plugin)
    return found


def _make(name: str) -> type[Op] | None:
    dialect = name.partition(".")[0]
    return _DIALECTS[dialect][0](name) if dialect in _DIALECTS else None


def op_names(made: bool = True) -> Sequence[str]:
    """Every name that `get_op` knows, sorted.

    Args:
        made: whether also those of ops that are made on demand (``mase.linear_mxint``).
    """
    later = [name for _, names in _DIALECTS.values() for name in names()] if made else []
    return sorted({*_OPS, *later})
