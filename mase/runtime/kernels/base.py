"""What a number format must be able to do with tensors, and which kernel does it for which format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

from torch import Tensor

from mase.ir import Format, MaseError, parse_format
from mase.runtime import native
from mase.runtime.kernels.encoded import Encoded, Scale

__all__ = [
    "GivenScale",
    "Kernel",
    "ScaledKernel",
    "as_format",
    "decode",
    "encode",
    "kernel_of",
    "quantize",
    "register_kernel",
    "scale_of",
    "scaled_kernel",
]

GivenScale = Scale | Tensor | float
"""A scale from outside, as for activations that were calibrated before."""

F = TypeVar("F", bound=Format)


class Kernel(ABC, Generic[F]):
    """The arithmetic of one format class; every method takes the format itself, for kernels hold no state."""

    @abstractmethod
    def encode(self, x: Tensor, format: F) -> Tensor | Encoded:
        """Integer codes of ``x``, in the smallest integer type that holds every code of the format."""

    @abstractmethod
    def decode(self, codes: Any, format: F) -> Tensor:
        """The values of ``codes``, in float32 if that holds every value exactly, else in float64."""

    @abstractmethod
    def quantize(self, x: Tensor, format: F) -> Tensor:
        """``decode(encode(x))`` in the type of ``x``; NaN stays NaN."""

    @abstractmethod
    def pass_gradient(self, gradient: Tensor, x: Tensor, format: F) -> Tensor:
        """``gradient`` where ``x`` lies in the representable range, 0 elsewhere."""


class ScaledKernel(Kernel[F]):
    """The arithmetic of a format whose codes need scales: found in the data, or given."""

    @abstractmethod
    def scale_of(self, x: Tensor, format: F) -> Scale:
        """The scales that ``x`` gets when none are given; infinities and NaN do not count."""

    @abstractmethod
    def given(self, scale: GivenScale, x: Tensor, format: F) -> Scale:
        """A scale from outside in the form that `scale_of` gives.

        Raises:
            MaseError: if it does not fit ``x``.
        """

    @abstractmethod
    def encode(self, x: Tensor, format: F, scale: Scale | None = None) -> Tensor | Encoded:
        """Codes with their scales."""

    @abstractmethod
    def quantize(self, x: Tensor, format: F, scale: Scale | None = None) -> Tensor:
        """``decode(encode(x))`` in the type of ``x``; NaN stays NaN."""

    @abstractmethod
    def pass_gradient(self, gradient: Tensor, x: Tensor, format: F, scale: Scale | None = None) -> Tensor:
        """``gradient`` where ``x`` lies in the range of a given scale; without one, all that is finite."""


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


def scaled_kernel(format: Format) -> ScaledKernel[Any]:
    """`kernel_of` a format that has scales.

    Raises:
        MaseError: if it has none.
    """
    kernel = kernel_of(format)
    if not isinstance(kernel, ScaledKernel):
        raise MaseError.of(f"format {format} has no scale", help="leave scale out, or quantize to int<8>")
    return kernel


def encode(x: Tensor, format: Format | str, scale: GivenScale | None = None) -> Tensor | Encoded:
    """The integer codes of the values nearest to ``x``.

    Args:
        x: float tensor of any shape; infinities saturate.
        format: a number format or its text.
        scale: the scales, where the format has some and they are not to come from ``x``.

    Returns:
        Codes of the shape of ``x`` in the smallest integer type that holds all of the format's;
        together with their scales, as `Encoded`, where the format has some.

    Raises:
        MaseError: if ``x`` holds NaN and the format has no code for it, or the scale does not fit.

    Example:
        >>> import torch
        >>> encode(torch.tensor([0.1, -9.0, 0.09375]), "fixed<8,4>")
        tensor([   2, -128,    2], dtype=torch.int8)
        >>> encode(torch.tensor([0.1, -9.0]), "int<8>", scale=0.05).codes
        tensor([   2, -128], dtype=torch.int8)
    """
    format = as_format(format)
    if scale is None:
        return kernel_of(format).encode(x, format)
    kernel = scaled_kernel(format)
    return kernel.encode(x, format, kernel.given(scale, x, format))


def decode(codes: Tensor | Encoded, format: Format | str) -> Tensor:
    """The values of integer codes.

    Args:
        codes: what `encode` gives: an integer tensor of any shape, or codes with their scales.
        format: the number format of the codes, or its text.

    Returns:
        float32 if it holds every code exactly, else float64. Without scales that holds the values exactly.

    Raises:
        MaseError: if the format has scales and ``codes`` none, or the reverse.

    Example:
        >>> import torch
        >>> decode(torch.tensor([2, -128]), "fixed<8,4>")
        tensor([ 0.1250, -8.0000])
    """
    format = as_format(format)
    if isinstance(codes, Encoded) != (format.scale_bits > 0):
        raise MaseError.of(
            f"codes of {format} come {'with' if format.scale_bits else 'without'} scales",
            help="pass what encode gave for this format",
        )
    return kernel_of(format).decode(codes, format)


def quantize(x: Tensor, format: Format | str, scale: GivenScale | None = None) -> Tensor:
    """The representable values nearest to ``x``: ``decode(encode(x))``, NaN staying NaN.

    Args:
        x: float tensor of any shape.
        format: a number format or its text.
        scale: the scales, where the format has some and they are not to come from ``x``.

    Returns:
        A tensor like ``x``. Where the type of ``x`` cannot hold the format's largest value, ``x``
        saturates at the largest one that it can hold.

    Raises:
        MaseError: if the format is unknown or incomplete, or the scale does not fit.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([0.1, float("inf"), float("nan")]), "fixed<8,4>")
        tensor([0.1250, 7.9375,    nan])
    """
    format = as_format(format)
    if scale is None:
        plan = native.plan_for(format, x)
        return plan.quantize(x) if plan else kernel_of(format).quantize(x, format)
    kernel = scaled_kernel(format)
    given = kernel.given(scale, x, format)
    if given.value is not None and (scaled := native.scaled_plan_for(format, x, given.value)):
        return scaled.quantize_with(x, given.value, given.zero_point)
    return kernel.quantize(x, format, given)


def scale_of(x: Tensor, format: Format | str) -> Scale | None:
    """The scales that ``x`` gets in a format, as `quantize` and `encode` take them; None without scales.

    Args:
        x: float tensor of any shape; infinities and NaN do not count.
        format: a number format or its text.

    Example:
        >>> import torch
        >>> scale_of(torch.tensor([2.54, -1.0]), "int<8>").value
        tensor(0.0200)
    """
    format = as_format(format)
    kernel = kernel_of(format)
    return kernel.scale_of(x, format) if isinstance(kernel, ScaledKernel) else None
