"""Calls that torch has no module for: products with many experts, selective state spaces."""

from __future__ import annotations

from mase.frontends.functions import SELECTIVE_SCAN
from mase.frontends.rules.base import CallSite, Unit, from_call, is_tensor
from mase.ir.ops.experts import GroupedMatMul
from mase.ir.ops.scan import SelectiveScan

__all__: list[str] = []


@from_call.register(
    "torch.ops.transformers.grouped_mm_fallback.default",  # what transformers calls while torch exports
    "aten._grouped_mm.default",
    "torch.nn.functional.grouped_mm",
)
def _grouped(
    site: CallSite, input: object, other: object, offs: object = None, bias: object = None
) -> Unit | None:
    if not (is_tensor(input) and is_tensor(other) and is_tensor(offs)) or bias is not None:
        return None
    return Unit(GroupedMatMul(), (input, other, offs))


@from_call.register(SELECTIVE_SCAN)
def _scan(site: CallSite, x: object, step: object, a: object, b: object, c: object) -> Unit | None:
    if not (is_tensor(x) and is_tensor(step) and is_tensor(a) and is_tensor(b) and is_tensor(c)):
        return None
    return Unit(SelectiveScan(), (x, step, a, b, c))
