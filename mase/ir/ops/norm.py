"""Normalisation layers."""

from __future__ import annotations

from typing import Literal

from mase.ir.axes import Axes
from mase.ir.op import Op, OpError, register_op
from mase.ir.ops.shapes import channels, same, tensor
from mase.ir.types import TensorType, Type

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RmsNorm"]


@register_op("nn.batch_norm")
class BatchNorm(Op):
    """Normalise each channel of ``[N, C, ...]`` by batch statistics in training, running ones in eval.

    ``momentum`` None averages over all batches seen. What is quantized as ``weight`` and ``bias`` is the
    scale and shift that the channels get from weight, bias and statistics together.
    """

    quantized_roles = ("data_in", "weight", "bias")
    eps: float = 1e-5
    momentum: float | None = 0.1

    def axes(self, role: str) -> Axes:
        return _channels(role)

    def infer(
        self,
        data_in: TensorType,
        *,
        weight: TensorType | None = None,
        bias: TensorType | None = None,
        running_mean: TensorType | None = None,
        running_var: TensorType | None = None,
        num_batches_tracked: TensorType | None = None,
    ) -> Type:
        x = tensor(data_in, "data_in", 2, 3, 4, 5)
        for what, role in (
            ("weight", weight),
            ("bias", bias),
            ("running_mean", running_mean),
            ("running_var", running_var),
        ):
            if role is not None:
                same(x.shape[1], tensor(role, what, 1).shape[0], f"length of {what}")
        return x


@register_op("nn.layer_norm")
class LayerNorm(Op):
    """Normalise over the last dimensions, as many as ``normalized_shape`` has."""

    quantized_roles = ("data_in", "weight", "bias")
    off_grid = True
    normalized_shape: tuple[int, ...]
    eps: float = 1e-5

    @property
    def epsilon(self) -> float:
        """What is added to the variance."""
        return self.eps

    def infer(
        self, data_in: TensorType, *, weight: TensorType | None = None, bias: TensorType | None = None
    ) -> Type:
        return _trailing(data_in, self.normalized_shape)


@register_op("nn.rms_norm")
class RmsNorm(Op):
    """Divide by the root mean square over the last dimensions; ``eps`` None is the dtype's epsilon."""

    quantized_roles = ("data_in", "weight")
    off_grid = True
    normalized_shape: tuple[int, ...]
    eps: float | None = None

    @property
    def epsilon(self) -> float:
        """What is added to the mean square; where ``eps`` does not say, the epsilon of float32."""
        return 2.0**-23 if self.eps is None else self.eps

    def infer(self, data_in: TensorType, *, weight: TensorType | None = None) -> Type:
        return _trailing(data_in, self.normalized_shape)


@register_op("nn.group_norm")
class GroupNorm(Op):
    """Normalise each of ``num_groups`` groups of channels of each sample."""

    quantized_roles = ("data_in", "weight", "bias")
    num_groups: int
    eps: float = 1e-5

    def axes(self, role: str) -> Axes:
        return _channels(role)

    def infer(
        self, data_in: TensorType, *, weight: TensorType | None = None, bias: TensorType | None = None
    ) -> Type:
        x = tensor(data_in, "data_in")
        channels = x.shape[1] if x.rank > 1 else 0
        if isinstance(channels, int) and (channels == 0 or channels % self.num_groups):
            raise OpError(f"data_in: expected channels divisible by {self.num_groups}, found {x}")
        return x


@register_op("nn.instance_norm")
class InstanceNorm(Op):
    """Normalise each channel of each sample of ``[N, C, *spatial]`` or ``[C, *spatial]`` by itself."""

    quantized_roles = ("data_in", "weight", "bias")
    spatial: Literal[1, 2, 3]
    eps: float = 1e-5

    def axes(self, role: str) -> Axes:
        return channels(role, self.spatial)

    def infer(
        self, data_in: TensorType, *, weight: TensorType | None = None, bias: TensorType | None = None
    ) -> Type:
        x = tensor(data_in, "data_in", self.spatial + 1, self.spatial + 2)
        for what, role in (("weight", weight), ("bias", bias)):
            if role is not None:
                same(x.shape[-self.spatial - 1], tensor(role, what, 1).shape[0], f"length of {what}")
        return x


def _channels(role: str) -> Axes:
    return Axes((1,)) if role in ("data_in", "data_out") else Axes()


def _trailing(data_in: TensorType, shape: tuple[int, ...]) -> TensorType:
    x = tensor(data_in, "data_in")
    if x.rank < len(shape):
        raise OpError(f"data_in: expected at least {len(shape)} dimensions, found {x}")
    for expected, found in zip(shape, x.shape[x.rank - len(shape) :], strict=True):
        same(expected, found, "normalised dimension")
    return x
