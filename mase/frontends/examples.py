"""Example inputs from their types, without disturbing anybody's random numbers."""

from __future__ import annotations

import random
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError
from mase.ir.dim import Expr, size_of
from mase.ir.formats import Dtype
from mase.ir.types import TensorType, parse_type

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dynamic_names", "example_inputs", "seeded"]

_BATCH, _LENGTH = 2, 8
"""Sizes for the first symbol, the batch, and from which on those after it are counted."""


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seed torch, numpy and Python for a while, then put their random states back.

    Example:
        >>> import torch
        >>> with seeded(0):
        ...     a = torch.rand(1)
        >>> with seeded(0):
        ...     b = torch.rand(1)
        >>> torch.equal(a, b)
        True
    """
    import torch

    numpy: Any = sys.modules.get("numpy")
    saved = random.getstate(), numpy and numpy.random.get_state()
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        random.seed(seed)
        if numpy:
            numpy.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(saved[0])
            if numpy:
                numpy.random.set_state(saved[1])


def example_inputs(types: Mapping[str, str]) -> dict[str, Tensor]:
    """A tensor for each input: normal floats, integers 0 and 1; ``N`` becomes 2, further symbols 8, 9, ...

    Args:
        types: the type of each input by name.

    Raises:
        MaseError: if a type is no tensor's, or its elements are of no machine type.

    Example:
        >>> {k: tuple(v.shape) for k, v in example_inputs({"x": "f32[N,4]", "ids": "i64[N,L]"}).items()}
        {'x': (2, 4), 'ids': (2, 8)}
    """
    parsed = {name: _tensor_type(name, text) for name, text in types.items()}
    sizes = _sizes(parsed)
    return {name: _example(name, type, sizes) for name, type in parsed.items()}


def dynamic_names(types: Mapping[str, str]) -> dict[str, dict[int, str]]:
    """The named dimensions of each input.

    Raises:
        MaseError: if a type is no tensor's.

    Example:
        >>> dynamic_names({"x": "f32[N,4]", "y": "f32[4]"})
        {'x': {0: 'N'}}
    """
    names = {
        name: {
            d: str(size) for d, size in enumerate(_tensor_type(name, text).shape) if isinstance(size, Expr)
        }
        for name, text in types.items()
    }
    return {name: dims for name, dims in names.items() if dims}


def _tensor_type(name: str, text: str) -> TensorType:
    remedy = f'write inputs = {{ {name} = "f32[N,3,32,32]" }}'
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MaseError.of(f"input {name!r}: expected the text of a type, found {text!r}", help=remedy)
    found = parse_type(text)
    if not isinstance(found, TensorType) or not isinstance(found.format, Dtype):
        raise MaseError.of(f"input {name!r}: expected a tensor of a machine type, found {text}", help=remedy)
    for size in found.shape:
        if isinstance(size, Expr) and not str(size).isidentifier():
            raise MaseError.of(f"input {name!r}: a size is a number or a name, found {size}", help=remedy)
    return found


def _sizes(types: Mapping[str, TensorType]) -> dict[str, int]:
    names = dict.fromkeys(str(d) for t in types.values() for d in t.shape if isinstance(d, Expr))
    return {name: _BATCH if i == 0 else _LENGTH + i - 1 for i, name in enumerate(names)}


def _example(name: str, type: TensorType, sizes: Mapping[str, int]) -> Tensor:
    import torch

    assert isinstance(type.format, Dtype)
    shape = [size_of(d, sizes) for d in type.shape]
    dtype = getattr(torch, type.format.torch_name)
    if type.format.is_float:
        return torch.randn(shape).to(dtype)
    return torch.randint(0, 2, shape).to(dtype)
