"""What a number format must be able to do with tensors, and which kernel does it for which format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

from torch import Tensor

from mase.ir import Format, MaseError, parse_format
from mase.runtime import native

__all__ = ["Kernel", "as_format", "decode", "encode", "kernel_of", "quantize", "register_kernel"]

F = TypeVar("F", bound=Format)


class Kernel(ABC, Generic[F]):
    """The arithmetic of one format class; every method takes the format itself, for kernels hold no state."""

    @abstractmethod
    def encode(self, x: Tensor, format: F) -> Tensor:
        """Integer codes of ``x``, in the smallest integer type that holds every code of the format."""

    @abstractmethod
    def decode(self, codes: Tensor, format: F) -> Tensor:
        """The values of ``codes``, in float32 if that holds every value exactly, else in float64."""

    @abstractmethod
    def quantize(self, x: Tensor, format: F) -> Tensor:
        """``decode(encode(x))`` in the type of ``x``; NaN stays NaN."""

    @abstractmethod
    def pass_gradient(self, gradient: Tensor, x: Tensor, format: F) -> Tensor:
        """``gradient`` where ``x`` lies in the representable range, 0 elsewhere."""


_KERNELS: dict[type[Format], Kernel[Any]] = {}


def register_kernel(format: type[F]) -> Callable[[type[Kernel[F]]], type[Kernel[F]]]:
    """Class decorator: let a kernel serve a format class and its subclasses.

    Args:
        format: the class whose arithmetic the decorated kernel is.
    """

    def register(kernel: type[Kernel[F]]) -> type[Kernel[F]]:
        _KERNELS[format] = kernel()
        return kernel

    return register


def kernel_of(format: Format) -> Kernel[Any]:
    """The kernel that serves ``format``.

    Raises:
        MaseError: if the format still needs calibration or no kernel was registered for its class.
    """
    if not format.calibrated:
        raise MaseError.of(
            f"format {format} is not complete: its parameters come from statistics",
            help="say them all, as in fixed<8,4>, or let the quantize pass take them from profile",
        )
    for cls in type(format).__mro__:
        if cls in _KERNELS:
            return _KERNELS[cls]
    raise MaseError.of(
        f"format {format} has no kernel", help="add one with mase.runtime.kernels.register_kernel"
    )


@cache
def _parsed(text: str) -> Format:
    return parse_format(text)


def as_format(format: Format | str) -> Format:
    """``format`` itself, or what its text says.

    Raises:
        MaseError: if the text is no format.
    """
    return _parsed(format) if isinstance(format, str) else format


def encode(x: Tensor, format: Format | str) -> Tensor:
    """The integer codes of the values nearest to ``x``.

    Args:
        x: float tensor of any shape; infinities saturate.
        format: a number format or its text.

    Returns:
        Codes of the shape of ``x`` in the smallest integer type that holds all of the format's.

    Raises:
        MaseError: if ``x`` holds NaN and the format has no code for it.

    Example:
        >>> import torch
        >>> encode(torch.tensor([0.1, -9.0, 0.09375]), "fixed<8,4>")
        tensor([   2, -128,    2], dtype=torch.int8)
    """
    format = as_format(format)
    return kernel_of(format).encode(x, format)


def decode(codes: Tensor, format: Format | str) -> Tensor:
    """The values of integer codes.

    Args:
        codes: integer tensor of any shape, as `encode` gives it.
        format: the number format of the codes, or its text.

    Returns:
        float32 if it holds every value of the format exactly, else float64.

    Example:
        >>> import torch
        >>> decode(torch.tensor([2, -128]), "fixed<8,4>")
        tensor([ 0.1250, -8.0000])
    """
    format = as_format(format)
    return kernel_of(format).decode(codes, format)


def quantize(x: Tensor, format: Format | str) -> Tensor:
    """The representable values nearest to ``x``: ``decode(encode(x))``, NaN staying NaN.

    Args:
        x: float tensor of any shape.
        format: a number format or its text.

    Returns:
        A tensor like ``x``. Where the type of ``x`` cannot hold the format's largest value, ``x``
        saturates at the largest one that it can hold.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([0.1, float("inf"), float("nan")]), "fixed<8,4>")
        tensor([0.1250, 7.9375,    nan])
    """
    format = as_format(format)
    plan = native.plan_for(format, x)
    return plan.quantize(x) if plan else kernel_of(format).quantize(x, format)
