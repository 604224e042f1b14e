"""Quantized ops, made from a float op and an arithmetic family instead of written one by one.

A quantized op quantizes its operands and computes its result from them exactly. It has the
attributes of its float op and, for each quantizable operand or role, a format (None leaves that
operand in float).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, ClassVar, get_type_hints

from mase.ir.format import Format
from mase.ir.op import Op, OperandSchema, get_op, op_names, register_op
from mase.ir.types import Type

__all__ = ["QuantizedOp", "derive", "quantized_op"]


class QuantizedOp(Op):
    """Base of the ops that `derive` makes."""

    level = "quantized"
    base: ClassVar[type[Op]]
    """The float op."""
    family: ClassVar[str]
    """The arithmetic family, such as ``integer``."""
    roles: ClassVar[tuple[str, ...]]
    """The operands and parameter roles that have a format."""

    @property
    def float_op(self) -> Op:
        """The float op with the same attributes."""
        own = self.attributes()
        return self.base(**{f.name: own[f.name] for f in fields(self.base)})  # type: ignore[arg-type]

    @property
    def formats(self) -> dict[str, Format | None]:
        """The format of each role; None where the operand stays in float."""
        return {role: getattr(self, role) for role in self.roles}

    @classmethod
    def schema(cls) -> OperandSchema:
        return cls.base.schema()

    def infer(self, *operands: Any, **roles: Any) -> Type:
        return self.float_op.infer(*operands, **roles)


def derive(base: type[Op], family: str, roles: tuple[str, ...]) -> type[QuantizedOp]:
    """The class ``mase.<base>_<family>``: ``nn.linear`` and ``integer`` give ``mase.linear_integer``.

    Args:
        base: the float op.
        family: the arithmetic family.
        roles: names from the signature of the float op's `infer` that get a format.

    Raises:
        ValueError: if a role is no operand of the float op.
    """
    schema = base.schema()
    unknown = set(roles) - set(schema.operands) - set(schema.roles)
    if unknown:
        raise ValueError(f"{base.name} has no operands {sorted(unknown)}")
    hints = get_type_hints(base)
    inherited = {f.name: hints[f.name] for f in fields(base)}  # type: ignore[arg-type]
    defaults = {f.name: f.default for f in fields(base) if f.default is not MISSING}  # type: ignore[arg-type]
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__doc__": f"``{base.name}`` of operands quantized to the {family} family.",
        "__annotations__": {**inherited, **dict.fromkeys(roles, Format | None)},
        **defaults,
        **dict.fromkeys(roles),
        "base": base,
        "family": family,
        "roles": roles,
    }
    made = type(f"{base.__name__}{family.capitalize()}", (QuantizedOp,), namespace)
    return register_op(f"mase.{base.name.partition('.')[2]}_{family}")(made)


def quantized_op(base: type[Op], family: str = "integer") -> type[QuantizedOp] | None:
    """The class made from ``base`` and ``family``, or None if there is none.

    Example:
        >>> from mase.ir.ops import nn
        >>> quantized_op(nn.Linear).name
        'mase.linear_integer'
    """
    name = f"mase.{base.name.partition('.')[2]}_{family}"
    found = get_op(name) if name in op_names() else None
    return found if found is not None and issubclass(found, QuantizedOp) else None


def role_formats(op: Op) -> Mapping[str, Format | None]:
    """The formats of a quantized op by role; empty for any other op."""
    return op.formats if isinstance(op, QuantizedOp) else {}
