"""Norms that compute their statistics from quantized operands; batch norm is in `norm`."""

from __future__ import annotations

import math
from abc import abstractmethod
from fractions import Fraction
from typing import Any, ClassVar, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm  # pyright: ignore[reportPrivateUsage]

from mase.ir.ops import exact, norm
from mase.runtime.exact import execute
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.codes import centred, codes_of, computes_integers, fixed, numbers, real, where_nan
from mase.runtime.modules.factory import arithmetic

__all__ = ["GroupNorm", "InstanceNorm", "LayerNorm", "Normalization", "RmsNorm", "TrailingNorm"]


class Normalization(QuantizedModule):
    """A norm of ``data_in``, scaled by ``weight`` and shifted by ``bias`` where there are any."""

    @abstractmethod
    def normalize(self, x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """The float op on ready operands."""

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        weights = {role: getattr(self, role) for role in self.formats if role != "data_in"}
        return self.evaluate(None, self.normalize, {"data_in": input, **weights})


class TrailingNorm(Normalization):
    """A norm over the last dimensions, in floats or in integers."""

    centered: ClassVar[bool]

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        if not computes_integers(self, input):
            return super().forward(input)
        own = cast(Any, self)
        roles = {"weight": own.weight, "bias": getattr(own, "bias", None)}
        given = {role: codes_of(t, fixed(self, role)) for role, t in roles.items() if t is not None}
        result = execute(self._record(*given), centred(self, "data_in", input), **given)
        dims = tuple(range(-len(own.normalized_shape), 0))
        out = fixed(self, "data_out")
        return where_nan(input, real(self, result, Fraction(out.step), 2**out.width, input), dims)

    def _record(self, *roles: str) -> exact.Norm:
        own = cast(Any, self)
        return exact.Norm.of(
            numbers(self, "data_in"),
            fixed(self, "data_out"),
            count=math.prod(own.normalized_shape),
            eps=own.mase_op.float_op.epsilon,
            centered=self.centered,
            dims=len(own.normalized_shape),
            weight=fixed(self, "weight") if "weight" in roles else None,
            bias=fixed(self, "bias") if "bias" in roles else None,
        )


@arithmetic(norm.LayerNorm, nn.LayerNorm)
class LayerNorm(TrailingNorm):
    """Over the last dimensions."""

    centered = True

    def normalize(self, x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
        own = cast(Any, self)
        return F.layer_norm(x, own.normalized_shape, weight, bias, own.eps)


@arithmetic(norm.RmsNorm, nn.RMSNorm)
class RmsNorm(TrailingNorm):
    """By the root mean square of the last dimensions."""

    centered = False

    def normalize(self, x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
        own = cast(Any, self)
        return F.rms_norm(x, own.normalized_shape, weight, own.eps)


@arithmetic(norm.GroupNorm, nn.GroupNorm)
class GroupNorm(Normalization):
    """Over groups of channels."""

    def normalize(self, x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
        own = cast(Any, self)
        return F.group_norm(x, own.num_groups, weight, bias, own.eps)


class _AnyInstanceNorm(_InstanceNorm):
    """nn.InstanceNorm1d, 2d and 3d in one.

    Args:
        num_features: the number of channels.
        spatial: the number of dimensions after them.
        eps: what is added to the variance.
        affine: whether there are a weight and a bias.
    """

    def __init__(
        self, num_features: int, spatial: Literal[1, 2, 3], eps: float = 1e-5, affine: bool = False
    ) -> None:
        cast(Any, super()).__init__(num_features, eps, affine=affine)
        self.spatial = spatial


@arithmetic(norm.InstanceNorm, _AnyInstanceNorm)
class InstanceNorm(Normalization):
    """Over each channel of each sample."""

    def normalize(self, x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
        own = cast(Any, self)
        if x.dim() == own.spatial + 1:  # without a batch
            return F.instance_norm(x.unsqueeze(0), None, None, weight, bias, eps=own.eps).squeeze(0)
        return F.instance_norm(x, None, None, weight, bias, eps=own.eps)
