"""Functions that the trace does not enter, each one operator of the trace, as a leaf module is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from mase.frontends.quick import attention_result, scan_result

__all__ = ["ATTENTION", "NAMES", "RESULTS", "SELECTIVE_SCAN", "Mark", "functions_marked"]

ATTENTION = "aten.scaled_dot_product_attention.default"
SELECTIVE_SCAN = "mase.selective_scan"

NAMES = {ATTENTION: "attention", SELECTIVE_SCAN: "scan"}
"""What their nodes are called."""
RESULTS: Mapping[str, Callable[..., Any]] = {ATTENTION: attention_result, SELECTIVE_SCAN: scan_result}
"""What each gives on fake tensors."""

Mark = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]
"""Makes a call of a function one operator of the trace, and gives its result."""

_SCAN = "mamba_selective_scan"
"""What transformers calls the scan, in each model that has one."""


@contextmanager
def functions_marked(mark: Mark) -> Generator[None]:
    """Have calls of the functions marked; whatever happens, put everything back."""
    modules = [m for name, m in sys.modules.items() if name.startswith("transformers.models.")]
    scans = {module: vars(module)[_SCAN] for module in modules if _SCAN in vars(module)}
    try:
        for module in scans:
            setattr(module, _SCAN, _scan(mark))
        with _Attention(mark):
            yield
    finally:
        for module, function in scans.items():
            setattr(module, _SCAN, function)


class _Attention(TorchFunctionMode):
    """Marks calls of attention, whose decomposition on symbolic sizes takes most of a trace's time."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self._mark = mark

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and attention_result(*args, **(kwargs or {})) is not None:
            return self._mark(ATTENTION, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _scan(mark: Mark) -> Callable[..., Any]:
    """The scan with its loop over the sequence, which a trace would unroll, as one operator."""

    def scan(
        hidden_states: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,  # noqa: N803 - the caller's names
        B: torch.Tensor,  # noqa: N803
        C: torch.Tensor,  # noqa: N803
        D: torch.Tensor | None = None,  # noqa: N803
        z: torch.Tensor | None = None,
        delta_bias: torch.Tensor | None = None,
        delta_softplus: bool = False,
        return_last_state: bool = False,
        **settings: Any,
    ) -> Any:
        step = dt if delta_bias is None else dt + delta_bias.to(dt.dtype)[..., None]
        step = F.softplus(step) if delta_softplus else step
        result, state = mark(SELECTIVE_SCAN, (hidden_states, step, A, B, C), {})
        if D is not None:
            result = result + hidden_states * D[None, :, None]
        if z is not None:
            result = result * F.silu(z)
        return (result, state) if return_last_state else result

    return scan
