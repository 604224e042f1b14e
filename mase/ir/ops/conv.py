"""Convolutions and transposed convolutions over one to three spatial dimensions."""

from __future__ import annotations

from typing import ClassVar, Literal

from mase.ir.axes import Axes
from mase.ir.dim import Dim
from mase.ir.op import Op, OpError, register_op
from mase.ir.ops.shapes import channels, same, spatial, tensor, window
from mase.ir.types import TensorType, Type

__all__ = [
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class Conv(Op):
    """Cross-correlation of ``[N, in, *spatial]`` with ``weight [out, in/groups, *kernel]``.

    ``padding`` holds the (before, after) pair of each spatial dimension, first dimension first.
    """

    spatial: ClassVar[int]
    quantized_roles = ("data_in", "weight", "bias")
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: PaddingMode

    def axes(self, role: str) -> Axes:
        """The weights of an output; the channels of a position."""
        inputs = tuple(range(1, self.spatial + 2))
        return Axes(inputs) if role == "weight" else channels(role, self.spatial)

    def infer(self, data_in: TensorType, *, weight: TensorType, bias: TensorType | None = None) -> Type:
        rank = self.spatial
        x = tensor(data_in, "data_in", rank + 1, rank + 2)
        w = tensor(weight, "weight", rank + 2)
        for what in ("stride", "padding", "dilation"):
            spatial(rank, getattr(self, what), what)
        same(w.shape[1] * self.groups, x.shape[-rank - 1], "channels of data_in")
        if bias is not None:
            same(w.shape[0], tensor(bias, "bias", 1).shape[0], "length of bias")
        kernel = kernel_of(w)
        sizes = [
            window(x.shape[i - rank], kernel[i], self.stride[i], self.padding[i], self.dilation[i])
            for i in range(rank)
        ]
        return x.with_shape((*x.shape[: -rank - 1], w.shape[0], *sizes))


class ConvTranspose(Op):
    """The gradient of a convolution as a layer; ``weight`` is ``[in, out/groups, *kernel]``."""

    spatial: ClassVar[int]
    quantized_roles = ("data_in", "weight", "bias")
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def axes(self, role: str) -> Axes:
        """The weights of an output, which lie in all channels of its group; the channels of a position."""
        inputs = (0, *range(2, self.spatial + 2))
        return Axes(inputs, self.groups) if role == "weight" else channels(role, self.spatial)

    def infer(self, data_in: TensorType, *, weight: TensorType, bias: TensorType | None = None) -> Type:
        rank = self.spatial
        x = tensor(data_in, "data_in", rank + 1, rank + 2)
        w = tensor(weight, "weight", rank + 2)
        for what in ("stride", "padding", "output_padding", "dilation"):
            spatial(rank, getattr(self, what), what)
        same(w.shape[0], x.shape[-rank - 1], "channels of data_in")
        channels = w.shape[1] * self.groups
        if bias is not None:
            same(channels, tensor(bias, "bias", 1).shape[0], "length of bias")
        kernel = kernel_of(w)
        sizes = [self._size(i, x.shape[i - rank], kernel[i]) for i in range(rank)]
        return x.with_shape((*x.shape[: -rank - 1], channels, *sizes))

    def _size(self, i: int, size: Dim, kernel: int) -> Dim:
        reach = self.dilation[i] * (kernel - 1) + self.output_padding[i] + 1 - 2 * self.padding[i]
        return (size - 1) * self.stride[i] + reach


def kernel_of(weight: TensorType) -> tuple[int, ...]:
    """The kernel's size from the weight's type.

    Raises:
        OpError: if it is symbolic.
    """
    sizes = tuple(d for d in weight.shape[2:] if isinstance(d, int))
    if len(sizes) != weight.rank - 2:
        raise OpError(f"weight: expected a kernel of known size, found {weight}")
    return sizes


@register_op("nn.conv1d")
class Conv1d(Conv):
    """Convolution over one spatial dimension."""

    spatial = 1
    stride: tuple[int, ...] = (1,)
    padding: tuple[tuple[int, int], ...] = ((0, 0),)
    dilation: tuple[int, ...] = (1,)
    groups: int = 1
    padding_mode: PaddingMode = "zeros"


@register_op("nn.conv2d")
class Conv2d(Conv):
    """Convolution over two spatial dimensions."""

    spatial = 2
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    padding_mode: PaddingMode = "zeros"


@register_op("nn.conv3d")
class Conv3d(Conv):
    """Convolution over three spatial dimensions."""

    spatial = 3
    stride: tuple[int, ...] = (1, 1, 1)
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0), (0, 0))
    dilation: tuple[int, ...] = (1, 1, 1)
    groups: int = 1
    padding_mode: PaddingMode = "zeros"


@register_op("nn.conv_transpose1d")
class ConvTranspose1d(ConvTranspose):
    """Transposed convolution over one spatial dimension."""

    spatial = 1
    stride: tuple[int, ...] = (1,)
    padding: tuple[int, ...] = (0,)
    output_padding: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    groups: int = 1


@register_op("nn.conv_transpose2d")
class ConvTranspose2d(ConvTranspose):
    """Transposed convolution over two spatial dimensions."""

    spatial = 2
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    output_padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1


@register_op("nn.conv_transpose3d")
class ConvTranspose3d(ConvTranspose):
    """Transposed convolution over three spatial dimensions."""

    spatial = 3
    stride: tuple[int, ...] = (1, 1, 1)
    padding: tuple[int, ...] = (0, 0, 0)
    output_padding: tuple[int, ...] = (0, 0, 0)
    dilation: tuple[int, ...] = (1, 1, 1)
    groups: int = 1
