"""Pooling over one to three spatial dimensions."""

from __future__ import annotations

from typing import ClassVar

from mase.ir.axes import Axes
from mase.ir.dim import Dim
from mase.ir.op import Op, register_op
from mase.ir.ops.shapes import channels, spatial, tensor, window
from mase.ir.types import TensorType, Type

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptivePool",
    "AvgPool",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool",
    "MaxPool1d",
    "MaxPool2d",
]


class MaxPool(Op):
    """The largest element of each window."""

    spatial: ClassVar[int]
    quantized_roles = ("data_in",)
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False

    def axes(self, role: str) -> Axes:
        return channels(role, self.spatial)

    def infer(self, data_in: TensorType) -> Type:
        return _windows(self, data_in, self.dilation)


class AvgPool(Op):
    """The mean of each window."""

    spatial: ClassVar[int]
    quantized_roles = ("data_in",)
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def axes(self, role: str) -> Axes:
        return channels(role, self.spatial)

    def infer(self, data_in: TensorType) -> Type:
        return _windows(self, data_in, (1,) * self.spatial)


class AdaptivePool(Op):
    """Pooling whose windows are chosen to give ``output_size``; None keeps a dimension's size."""

    spatial: ClassVar[int]
    quantized_roles = ("data_in",)
    output_size: tuple[int | None, ...]

    def axes(self, role: str) -> Axes:
        return channels(role, self.spatial)

    def infer(self, data_in: TensorType) -> Type:
        x = tensor(data_in, "data_in", self.spatial + 1, self.spatial + 2)
        spatial(self.spatial, [s or 0 for s in self.output_size], "output_size")
        kept: list[Dim] = [
            x.shape[i - self.spatial] if size is None else size for i, size in enumerate(self.output_size)
        ]
        return x.with_shape((*x.shape[: -self.spatial], *kept))


def _windows(op: MaxPool | AvgPool, data_in: TensorType, dilation: tuple[int, ...]) -> TensorType:
    rank = op.spatial
    x = tensor(data_in, "data_in", rank + 1, rank + 2)
    for what in ("kernel", "stride", "padding"):
        spatial(rank, getattr(op, what), what)
    sizes = [
        window(
            x.shape[i - rank],
            op.kernel[i],
            op.stride[i],
            (op.padding[i], op.padding[i]),
            dilation[i],
            op.ceil_mode,
        )
        for i in range(rank)
    ]
    return x.with_shape((*x.shape[:-rank], *sizes))


@register_op("nn.max_pool1d")
class MaxPool1d(MaxPool):
    """Max-pooling over one spatial dimension."""

    spatial = 1
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    ceil_mode: bool = False


@register_op("nn.max_pool2d")
class MaxPool2d(MaxPool):
    """Max-pooling over two spatial dimensions."""

    spatial = 2
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    ceil_mode: bool = False


@register_op("nn.avg_pool1d")
class AvgPool1d(AvgPool):
    """Average pooling over one spatial dimension."""

    spatial = 1
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] = (0,)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@register_op("nn.avg_pool2d")
class AvgPool2d(AvgPool):
    """Average pooling over two spatial dimensions."""

    spatial = 2
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@register_op("nn.adaptive_avg_pool1d")
class AdaptiveAvgPool1d(AdaptivePool):
    """Average pooling to a given length."""

    spatial = 1
    output_size: tuple[int | None, ...]


@register_op("nn.adaptive_avg_pool2d")
class AdaptiveAvgPool2d(AdaptivePool):
    """Average pooling to a given height and width."""

    spatial = 2
    output_size: tuple[int | None, ...]


@register_op("nn.adaptive_max_pool1d")
class AdaptiveMaxPool1d(AdaptivePool):
    """Max-pooling to a given length."""

    spatial = 1
    output_size: tuple[int | None, ...]


@register_op("nn.adaptive_max_pool2d")
class AdaptiveMaxPool2d(AdaptivePool):
    """Max-pooling to a given height and width."""

    spatial = 2
    output_size: tuple[int | None, ...]
