"""What all quantized modules share: formats by role, the exact evaluation, the IR op that they are.

One rule: an op quantizes its operands; its result is exact. In training the module computes in the type
of its input. In eval mode, where all operands are fixed-point, it computes in the float type that is
proved to hold every intermediate result, so that it gives the very integers that hardware gives.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from typing import Any, ClassVar, cast, get_args

import torch
from torch import Tensor, nn

from mase.ir import Format, MaseError
from mase.ir.axes import Axes
from mase.ir.formats import Integer
from mase.ir.keyed import formats_by_role
from mase.ir.ops.quantized import Nonlinear, QuantizedOp, Requant
from mase.runtime.kernels import Scale, fake_quantize
from mase.runtime.kernels.moving import fake_quantize_following
from mase.runtime.modules.grid import Grid
from mase.runtime.modules.rows import along
from mase.runtime.modules.scaled import precise
from mase.runtime.modules.scales import fake_quantize_learned

__all__ = ["QuantizedModule"]


class QuantizedModule(nn.Module, ABC):
    """Base of the modules that `quantized_module` makes.

    Args:
        args: the arguments of the float module that this one is made from.
        config: the formats by role, such as ``{"data_in": "fixed<8,4>", "weight": "fixed<8,6>"}`` or
            ``{"data_in_width": 8, "data_in_frac_width": 4}``; a role without a format stays in float,
            and all of them do with ``{"bypass": True}``. ``data_out`` is the result. Functions and norms of
            fixed point and of scaled integers take ``{"nonlinear": "table"}``: in eval mode they then compute
            in integers.
        kwargs: the keyword arguments of the float module.

    Raises:
        MaseError: if ``config`` has an unknown key, or a format is wrong, incomplete or of another family.
    """

    op_class: ClassVar[type[QuantizedOp]]
    formats: dict[str, Format | None]
    """The format of each role; None where the operand stays in float."""
    data_out: Format | None
    """The format of the result; None where it stays as it was computed."""
    nonlinear: Nonlinear
    requant: Requant
    """Whether an op whose results lie on no grid computes in floats or by tables, in eval mode."""
    wide: bool
    """Whether a result that needs float64 stays one in eval mode. Otherwise it is rounded to the type
    of the input, which hides bits from a further quantizer."""
    divided: bool
    """Whether what takes a wide result divides it by a scale in float64, as ``requant = "dyadic"`` does."""
    clip_grad: bool
    """Whether no gradient passes where an operand lies outside of its format's range."""

    def __init__(self, *args: Any, config: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = (*self.op_class.roles, "data_out")
        config = dict(config or {})
        self.nonlinear = config.pop("nonlinear", "float")
        self.requant = config.pop("requant", "float")
        found = dict.fromkeys(roles) | formats_by_role(config, roles, self.op_class.family)
        _check_formats(self.op_class, found)
        _check_nonlinear(self, found)
        _check_requant(self)
        self.data_out = found.pop("data_out")
        self.formats = found
        self._axes = self._axes_of_rows()
        self.wide = self.divided = False
        self.clip_grad = True
        self._result: torch.dtype | None = None

    # -- what it is in the IR ---------------------------------------------------------------

    def op_attributes(self) -> dict[str, Any]:
        """The attributes of the float op, which by default are the module's of the same names."""
        names = [f.name for f in fields(cast(Any, self.op_class.base))]
        return {name: getattr(self, name) for name in names}

    @property
    def mase_op(self) -> QuantizedOp:
        """The IR op that this module is, with its attributes and formats."""
        more: Any = self.formats | {"data_out": self.data_out}
        if self.op_class.has_tables():
            more["nonlinear"] = self.nonlinear
        if self.op_class.family == "scale_integer":
            more["requant"] = self.requant
        return self.op_class(**self.op_attributes(), **more)

    def extra_repr(self) -> str:
        formats = self.formats | {"data_out": self.data_out}
        texts = [f"{role}={format}" for role, format in formats.items() if format is not None]
        texts += ["nonlinear=table"] if self.nonlinear == "table" else []
        texts += ["requant=dyadic"] if self.requant == "dyadic" else []
        return ", ".join([t for t in (super().extra_repr(), *texts) if t])

    # -- evaluation -------------------------------------------------------------------------

    def returns(self, dtype: torch.dtype) -> None:
        """Say the type of the result; by default it is that of the first operand.

        An operand that comes as float64 from a `wide` producer does not make this module wide.
        """
        self._result = dtype

    @property
    def precise(self) -> bool:
        """Whether the module computes as integers do now, in float64; see `mase.runtime.modules.scaled`."""
        return self.requant == "dyadic" and not self.training

    def grid(self, role: str) -> Grid | None:
        """The fixed-point numbers of a role, None if its format is another."""
        return Grid.of(self.formats[role])

    def quantized(self, role: str, x: Tensor) -> Tensor:
        """An operand on its format's grid, with straight-through gradients."""
        format = self.data_out if role == "data_out" else self.formats[role]
        if format is None:
            return x
        if isinstance(format, Integer) and hasattr(self, f"{role}_scale"):
            scale, zero_point = getattr(self, f"{role}_scale"), getattr(self, f"{role}_zero_point", None)
            if self.training and hasattr(self, f"{role}_range"):
                seen = getattr(self, f"{role}_range")
                return fake_quantize_following(x, format, seen, scale, zero_point, self.clip_grad)
            if scale.requires_grad:
                return fake_quantize_learned(x, format, scale, zero_point, self.clip_grad)
            return fake_quantize(x, format, self.clip_grad, Scale(scale, zero_point))
        axes = self._axes.get(role)
        if axes is None:
            return fake_quantize(x, format, self.clip_grad)
        return along(axes, x, lambda rows: fake_quantize(rows, format, self.clip_grad))

    def _axes_of_rows(self) -> dict[str, Axes]:
        """The dimensions of the formats whose blocks, groups or tokens lie along some."""
        formats = self.formats | {"data_out": self.data_out}
        rows = [role for role, format in formats.items() if format is not None and format.reach == "row"]
        return {role: self.mase_op.axes(role) for role in rows}

    def set_scale(
        self,
        role: str,
        scale: Tensor,
        zero_point: Tensor | None = None,
        range: Tensor | None = None,
        *,
        learn: bool = False,
    ) -> None:
        """Quantize an operand or a weight in ``int<W>`` with a given scale instead of its own each time.

        Args:
            role: the operand or the weight.
            scale: one positive number, or one for each index of the format's ``channel`` or each ``group`` of
                a weight; becomes the buffer or parameter ``<role>_scale``.
            zero_point: the codes of 0 if the format is ``asym``; becomes ``<role>_zero_point``.
            range: float32[2], the least and the largest value, for a scale that follows what training sees;
                becomes the buffer ``<role>_range``.
            learn: whether the scale is a parameter, which the gradient moves (LSQ).

        Raises:
            MaseError: if the operand has no such format.
        """
        format = self.formats.get(role)
        if not isinstance(format, Integer) or not self.mase_op.takes_scales(role):
            raise MaseError.of(
                f"{role} is {format}, which takes no scale from outside", help="a format such as int<8> does"
            )
        if (zero_point is not None) != format.asym:
            raise MaseError.of(f"{role}: {format} has {'a' if format.asym else 'no'} zero point")
        if learn:
            self.register_parameter(f"{role}_scale", nn.Parameter(scale))
        else:
            self.register_buffer(f"{role}_scale", scale)
        for what, tensor in (("zero_point", zero_point), ("range", range)):
            if tensor is not None:
                self.register_buffer(f"{role}_{what}", tensor)

    def evaluate(
        self,
        exact: torch.dtype | None,
        compute: Callable[..., Tensor],
        operands: Mapping[str, Tensor | None] | Sequence[tuple[str, Tensor | None]],
    ) -> Tensor:
        """Apply ``compute`` to quantized operands, in the type ``exact`` unless that is None.

        Args:
            exact: the float type that holds every number of the computation.
            compute: the float op.
            operands: by role, or as pairs where several have the same.
        """
        pairs = list(operands.items()) if isinstance(operands, Mapping) else operands
        first = next(t for _, t in pairs if t is not None)
        if self.precise:
            with _no_autocast(first.device):
                ready = (None if x is None else precise(self, role, x) for role, x in pairs)
                result = precise(self, "data_out", compute(*ready))
            return self.returned(result, first)
        if exact is None:
            return self.quantized("data_out", compute(*(self._plain(role, x) for role, x in pairs)))
        with _no_autocast(first.device):
            ready = (None if x is None else self._on_grid(role, x, exact) for role, x in pairs)
            result = self.quantized("data_out", compute(*ready))
        return self.returned(result, first)

    def returned(self, result: Tensor, like: Tensor) -> Tensor:
        """An exact result in the type that the module returns."""
        if self.wide:
            return result.double() if self.divided else result
        return result.to(self._result or like.dtype)

    def _on_grid(self, role: str, x: Tensor, exact: torch.dtype) -> Tensor:
        """An operand in the type that holds it once it is quantized, and no sooner: a second rounding."""
        return self.quantized(role, x if x.dtype == torch.float64 else x.to(exact)).to(exact)

    def _plain(self, role: str, x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        x = self.quantized(role, x)
        return x if self._result is None or x.dtype != torch.float64 else x.to(self._result)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Let the type of the result follow ``.half()`` and ``.to(dtype)`` as parameters do."""
        if self._result is not None:
            self._result = fn(torch.empty(0, dtype=self._result)).dtype
        return cast(Any, super())._apply(fn, recurse)


def _no_autocast(device: torch.device) -> Any:
    """Autocast would round operands, so that results were exact no more."""
    enabled = torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if enabled else nullcontext()


def _check_formats(op: type[QuantizedOp], formats: Mapping[str, Format | None]) -> None:
    for role, format in formats.items():
        if format is not None and not format.calibrated:
            raise MaseError.of(
                f"config: {role} is {format}, which is not complete",
                help="say every parameter, as in fixed<8,4>; only the quantize pass can choose them",
            )
    if wrong := op.misfit({role: formats[role] for role in op.roles}):
        raise MaseError.of(f"config: {wrong}", help="take the class of that family")


def _check_requant(module: QuantizedModule) -> None:
    known = get_args(Requant) if module.op_class.family == "scale_integer" else ("float",)
    if module.requant not in known:
        raise MaseError.of(
            f"config: expected requant = {' or '.join(known)}, found {module.requant!r}",
            help="dyadic is for formats such as int<8>",
        )


def _check_nonlinear(module: QuantizedModule, formats: Mapping[str, Format | None]) -> None:
    if module.nonlinear == "float":
        return
    if module.nonlinear != "table":
        raise MaseError.of(f"config: expected nonlinear = float or table, found {module.nonlinear!r}")
    parameters = {name for name, _ in module.named_parameters(recurse=False)}
    operands = {*module.op_class.base.schema().operands, "probs"}
    absent = {role for role in module.op_class.roles if role not in parameters | operands}
    if wrong := module.op_class.tableless(formats, absent):
        raise MaseError.of(f"config: {wrong}")
