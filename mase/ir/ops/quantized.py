"""Quantized ops, made from a float op and an arithmetic family instead of written one by one.

A quantized op quantizes its operands and computes its result from them: exactly in the integer family,
whose formats are all fixed point, in the carrier's floats in the others. It has the attributes of its
float op and a format for each of the float op's `quantized_roles` (None leaves that one in float), and
one for its result, ``data_out``. ``mase.linear_mxint`` is made when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from mase.ir.axes import Axes
from mase.ir.family import families, family_of, family_title
from mase.ir.format import Format
from mase.ir.formats import Fixed, Integer
from mase.ir.op import Op, OperandSchema, OpError, get_op, op_names, register_dialect, register_op
from mase.ir.types import TensorType, Type

__all__ = [
    "Nonlinear",
    "QuantizedOp",
    "Requant",
    "derive",
    "float_op",
    "made_names",
    "quantizable_ops",
    "quantized_op",
    "role_formats",
    "with_formats",
]


Nonlinear = Literal["float", "table"]
"""How an `Op.off_grid` op of fixed-point operands computes: in floats, or exactly in integers, by tables,
integer roots and reciprocals (in training in floats, then rounded)."""

Requant = Literal["float", "dyadic"]
"""How ops of scaled integers (``int<W>``) rescale: in float32, as ONNX's ``QuantizeLinear``, or as integer
hardware does, by a 31-bit multiplier and a shift, with biases in units of the accumulator."""


class QuantizedOp(Op):
    """Base of the ops that `derive` makes."""

    level = "quantized"
    base: ClassVar[type[Op]]
    """The float op."""
    family: ClassVar[str]
    """The arithmetic family, such as ``integer``."""
    roles: ClassVar[tuple[str, ...]]
    """What has a format: operands, parameter roles, and numbers that the op computes inside."""
    data_out: Format | None
    """The format of the result; None where it stays as it was computed."""
    nonlinear: Nonlinear = "float"
    """An attribute of `off_grid` ops of fixed point and of scaled integers, ``float`` of all others."""
    requant: Requant = "float"
    """An attribute of ops in the family of scaled integers, ``float`` of all others."""

    @property
    def float_op(self) -> Op:
        """The float op with the same attributes."""
        own = self.attributes()
        return self.base(**{f.name: own[f.name] for f in fields(self.base)})  # type: ignore[arg-type]

    @property
    def formats(self) -> dict[str, Format | None]:
        """The format of each role; None where the operand stays in float."""
        return {role: getattr(self, role) for role in self.roles}

    def axes(self, role: str) -> Axes:
        return self.float_op.axes(role)

    @classmethod
    def scale_roles(cls) -> tuple[str, ...]:
        """Roles of scales from outside: ``weight_scale`` and ``weight_zero_point`` for operands and weights.

        What is in ``int<8>`` takes its scale from itself unless the node has one here. An operand also has
        ``data_in_range``, the least and the largest value, where training moves the scale by what it sees.
        """
        if cls.family == "integer":
            return ()
        schema = cls.base.schema()
        operands = [role for role in cls.roles if role in (*schema.operands, schema.rest)]
        weights = [role for role in cls.roles if role in schema.roles and role != "bias"]
        return (
            *(f"{role}_{what}" for role in operands for what in _OPERAND_SCALE),
            *(f"{role}_{what}" for role in weights for what in _SCALE),
        )

    @classmethod
    def schema(cls) -> OperandSchema:
        schema = cls.base.schema()
        return replace(schema, roles={**schema.roles, **dict.fromkeys(cls.scale_roles(), False)})

    @classmethod
    def misfit(cls, formats: Mapping[str, Format | None]) -> str | None:
        """Why formats are not of this op's family, None if they are or all is left in float."""
        given = {role: f for role, f in formats.items() if f is not None}
        family = family_of(given)
        if not given or family == cls.family:
            return None
        text = ", ".join(f"{role} = {f}" for role, f in given.items())
        return f"{text}: the family is {family}, as in {_name(cls.base, family)}"

    @classmethod
    def tableless(cls, formats: Mapping[str, Format | None], absent: Collection[str] = ()) -> str | None:
        """Why an op with these formats has no integer form, None if ``nonlinear = "table"`` will do.

        Args:
            formats: by role, ``data_out`` included.
            absent: roles that need no format, since the op has no such operand.
        """
        if not cls.has_tables():
            return f"{_name(cls.base, cls.family)} has no integer form of its own"
        # What attention gives is a sum of products, exact as it is.
        needed = [role for role in cls.roles if role not in absent and role != "mask"]
        needed += [] if "probs" in cls.roles else ["data_out"]
        operands = cls.base.schema().operands
        missing = [r for r in needed if not (isinstance(formats.get(r), Fixed) or _one_scale(formats.get(r)))]
        if missing:
            return f'nonlinear = "table" needs fixed<W,F> for {", ".join(missing)}'
        scaled = [r for r in needed if r not in operands and not isinstance(formats.get(r), Fixed)]
        if scaled:
            return f'nonlinear = "table" takes int<W> for operands, and fixed<W,F> for {", ".join(scaled)}'
        return None

    @classmethod
    def has_tables(cls) -> bool:
        """Whether the op has the attribute `nonlinear`."""
        return cls.family in _TABLED and cls.base.off_grid

    def _check_tables(self, *operands: Any, **roles: Any) -> None:
        if self.nonlinear not in get_args(Nonlinear):
            raise OpError(f"nonlinear: expected one of {', '.join(get_args(Nonlinear))}")
        if self.nonlinear == "float":
            return
        given = {*self.base.schema().operands[: len(operands)], *roles, "probs"}
        absent = {role for role in self.roles if role not in given}
        if wrong := self.tableless(self.formats | {"data_out": self.data_out}, absent):
            raise OpError(wrong)
        mask = operands[3] if "mask" in self.roles and len(operands) > 3 else None
        if mask is not None and str(mask.format) != "bool" and not isinstance(self.formats["mask"], Fixed):
            raise OpError(f'nonlinear = "table" needs fixed<W,F> for a mask of {mask}, which is added')

    def infer(self, *operands: Any, **roles: Any) -> Type:
        if wrong := self.misfit(self.formats):
            raise OpError(wrong)
        if self.requant not in get_args(Requant):
            raise OpError(f"requant: expected one of {', '.join(get_args(Requant))}")
        self._check_tables(*operands, **roles)
        for role in roles.keys() & set(self.scale_roles()):
            self._check_scale(role, roles.pop(role), roles)
        return self.float_op.infer(*operands, **roles)

    def takes_scales(self, role: str) -> bool:
        """Whether scales of a role may be given: one number, one a channel, or of weights one a group.

        Groups must lie along the last dimension of a weight, as those of a linear layer do.
        """
        format = self.formats.get(role)
        if not isinstance(format, Integer) or f"{role}_scale" not in self.scale_roles():
            return False
        of_weight = f"{role}_range" not in self.scale_roles()
        in_groups = of_weight and format.group is not None and self.axes(role) == Axes()
        return format.reach == "tensor" or in_groups

    def _check_scale(self, name: str, scale: Any, roles: Mapping[str, Any]) -> None:
        role = next(r for r in self.roles if name.removeprefix(f"{r}_") in _OPERAND_SCALE)
        format, weight = self.formats[role], roles.get(role)
        if not isinstance(format, Integer) or not self.takes_scales(role):
            raise OpError(f"{name}: {format} takes no scale from outside")
        if not isinstance(weight, TensorType):
            if not isinstance(scale, TensorType) or scale.rank > 1:
                raise OpError(f"{name}: expected one number, or one for each channel, found {scale}")
            return
        try:
            shape = format.scale_shape([d for d in weight.shape if isinstance(d, int)])
        except ValueError as error:
            raise OpError(str(error)) from None
        if not isinstance(scale, TensorType) or scale.shape != shape:
            raise OpError(f"{name}: expected shape {list(shape)} for {format}, found {scale}")


_SCALED = "scale_integer"
_TABLED = ("integer", _SCALED)
_SCALE = ("scale", "zero_point")
_OPERAND_SCALE = (*_SCALE, "range")


def derive(base: type[Op], family: str) -> type[QuantizedOp]:
    """The class ``mase.<base>_<family>``: ``nn.linear`` and ``integer`` give ``mase.linear_integer``.

    Args:
        base: the float op, which says its `quantized_roles`.
        family: the arithmetic family.
    """
    hints = get_type_hints(base)
    inherited = {f.name: hints[f.name] for f in fields(base)}  # type: ignore[arg-type]
    defaults = {f.name: f.default for f in fields(base) if f.default is not MISSING}  # type: ignore[arg-type]
    formats = (*base.quantized_roles, "data_out")
    options: dict[str, Any] = {"nonlinear": Nonlinear} if family in _TABLED and base.off_grid else {}
    options |= {"requant": Requant} if family == _SCALED else {}
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__doc__": f"``{base.name}`` of operands quantized to the {family} family.",
        "__annotations__": {**inherited, **dict.fromkeys(formats, Format | None), **options},
        **defaults,
        **dict.fromkeys(formats),
        **dict.fromkeys(options, "float"),
        "base": base,
        "family": family,
        "roles": base.quantized_roles,
    }
    made = type(f"{base.__name__}{family_title(family)}", (QuantizedOp,), namespace)
    globals()[made.__name__] = made  # where pickle looks for it
    return register_op(_name(base, family))(made)


def _one_scale(format: Format | None) -> bool:
    """Whether numbers are integers times a scale that is one for the tensor."""
    return isinstance(format, Integer) and format.reach == "tensor" and format.channel is None


def _name(base: type[Op], family: str) -> str:
    return f"mase.{base.name.partition('.')[2]}_{family}"


def quantizable_ops() -> Iterator[type[Op]]:
    """The float ops that quantized ops are made from."""
    found = (get_op(name) for name in op_names(made=False))
    return (op for op in found if op.quantized_roles and not issubclass(op, QuantizedOp))


def quantized_op(base: type[Op], family: str = "integer") -> type[QuantizedOp] | None:
    """The class made from ``base`` and ``family``, or None if nothing of ``base`` can be quantized.

    Example:
        >>> from mase.ir.ops import nn
        >>> quantized_op(nn.Linear).name
        'mase.linear_integer'
        >>> quantized_op(nn.Linear, "mxint").__name__
        'LinearMXInt'
    """
    if not base.quantized_roles or issubclass(base, QuantizedOp):
        return None
    name = _name(base, family)
    found = get_op(name) if name in op_names(made=False) else derive(base, family)
    return found if issubclass(found, QuantizedOp) else None


def with_formats(op: Op, formats: Mapping[str, Format | None], nonlinear: Nonlinear = "float") -> QuantizedOp:
    """The quantized op of a float op, in the family that the formats say.

    Args:
        op: a float op, or a quantized one whose formats are replaced.
        formats: by role, ``data_out`` included; what is absent stays in float.
        nonlinear: how an op whose results lie on no grid computes; of no matter to others.

    Raises:
        ValueError: if nothing of the op can be quantized.

    Example:
        >>> from mase.ir import parse_format
        >>> from mase.ir.ops import nn
        >>> with_formats(nn.Linear(), {"weight": parse_format("mxint<8,32>")}).name
        'mase.linear_mxint'
    """
    source = float_op(op)
    roles = type(source).quantized_roles
    made = quantized_op(type(source), family_of({r: f for r, f in formats.items() if r in roles}))
    if made is None:
        raise ValueError(f"{source.name} has no quantized form")
    known: dict[str, Any] = {role: f for role, f in formats.items() if role in (*roles, "data_out")}
    if made.has_tables():
        known["nonlinear"] = nonlinear
    if made.family == _SCALED and isinstance(op, QuantizedOp):
        known["requant"] = op.requant
    return made(**source.attributes(), **known)


def float_op(op: Op) -> Op:
    """The float op that a quantized op was made from; any other op itself."""
    return op.float_op if isinstance(op, QuantizedOp) else op


def role_formats(op: Op) -> Mapping[str, Format | None]:
    """The formats of a quantized op by role, also that of its result if it has one; none of other ops."""
    if not isinstance(op, QuantizedOp):
        return {}
    return op.formats | ({"data_out": op.data_out} if op.data_out else {})


def _make(name: str) -> type[QuantizedOp] | None:
    """The op of a name such as ``mase.linear_mxint``."""
    for base, family in _pairs():
        if _name(base, family) == name:
            return quantized_op(base, family)
    return None


def _pairs() -> Iterator[tuple[type[Op], str]]:
    return ((base, family) for base in quantizable_ops() for family in families())


def made_names() -> Iterator[str]:
    """The name of every op that can be made of a float op and a family."""
    return (_name(base, family) for base, family in _pairs())


def __getattr__(name: str) -> type[QuantizedOp]:
    """The class of a name such as ``LinearMXInt``, by which it is also pickled."""
    for base, family in _pairs():
        if f"{base.__name__}{family_title(family)}" == name and (found := quantized_op(base, family)):
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register_dialect("mase", _make, made_names)
