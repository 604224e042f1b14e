"""What all quantized modules share: formats by role, the exact evaluation, the IR op that they are.

One rule: an op quantizes its operands; its result is exact. In training the module computes in the type
of its input. In eval mode, where all operands are fixed-point, it computes in the float type that is
proved to hold every intermediate result, so that it gives the very integers that hardware gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from mase.ir import Format, MaseError
from mase.ir.keyed import formats_by_role
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.kernels import fake_quantize
from mase.runtime.modules.grid import Grid

__all__ = ["QuantizedModule"]


class QuantizedModule(nn.Module):
    """Base of the modules that `quantized_module` makes.

    Args:
        args: the arguments of the float module that this one is made from.
        config: the formats by role, such as ``{"data_in": "fixed<8,4>", "weight": "fixed<8,6>"}`` or
            ``{"data_in_width": 8, "data_in_frac_width": 4}``; a role without a format stays in float,
            and all of them do with ``{"bypass": True}``.
        kwargs: the keyword arguments of the float module.

    Raises:
        MaseError: if ``config`` has an unknown key or a format is wrong or incomplete.
    """

    op_class: ClassVar[type[QuantizedOp]]
    formats: dict[str, Format | None]
    """The format of each role; None where the operand stays in float."""
    wide: bool
    """Whether a result that needs float64 stays one in eval mode. Otherwise it is rounded to the type
    of the input, which hides bits from a further quantizer."""
    clip_grad: bool
    """Whether no gradient passes where an operand lies outside of its format's range."""

    def __init__(self, *args: Any, config: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = self.op_class.roles
        self.formats = dict.fromkeys(roles) | formats_by_role(config, roles)
        for role, format in self.formats.items():
            if format is not None and not format.calibrated:
                raise MaseError.of(
                    f"config: {role} is {format}, which is not complete",
                    help="say every parameter, as in fixed<8,4>; only the quantize pass can choose them",
                )
        self.wide = False
        self.clip_grad = True
        self._result: torch.dtype | None = None

    # -- what it is in the IR ---------------------------------------------------------------

    def op_attributes(self) -> dict[str, Any]:
        """The attributes of the float op."""
        return {}

    @property
    def mase_op(self) -> QuantizedOp:
        """The IR op that this module is, with its attributes and formats."""
        return self.op_class(**self.op_attributes(), **self.formats)

    def extra_repr(self) -> str:
        texts = [f"{role}={format}" for role, format in self.formats.items() if format is not None]
        return ", ".join([t for t in (super().extra_repr(), *texts) if t])

    # -- evaluation -------------------------------------------------------------------------

    def returns(self, dtype: torch.dtype) -> None:
        """Say the type of the result; by default it is that of the first operand.

        An operand that comes as float64 from a `wide` producer does not make this module wide.
        """
        self._result = dtype

    def grid(self, role: str) -> Grid | None:
        """The fixed-point numbers of a role, None if its format is another."""
        return Grid.of(self.formats[role])

    def quantized(self, role: str, x: Tensor) -> Tensor:
        """An operand on its format's grid, with straight-through gradients."""
        format = self.formats[role]
        return x if format is None else fake_quantize(x, format, self.clip_grad)

    def evaluate(
        self, exact: torch.dtype | None, compute: Callable[..., Tensor], operands: Mapping[str, Tensor | None]
    ) -> Tensor:
        """Apply ``compute`` to quantized operands, in the type ``exact`` unless that is None."""
        first = next(t for t in operands.values() if t is not None)
        if exact is None:
            return compute(*(self._plain(role, x) for role, x in operands.items()))
        with _no_autocast(first.device):
            ready = (None if x is None else self.quantized(role, x.to(exact)) for role, x in operands.items())
            result = compute(*ready)
        return result if self.wide else result.to(self._result or first.dtype)

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
