"""A guard: within it no float tensor may come to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _IntegersOnly(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            floats = isinstance(value, torch.Tensor) and value.is_floating_point()
            assert not floats, f"{func} made a float tensor"
        return result


@contextmanager
def integers_only() -> Iterator[None]:
    """Fail at the first operation whose result holds floats."""
    with _IntegersOnly():
        yield
