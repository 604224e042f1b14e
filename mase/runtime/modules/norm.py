"""Batch norm as an affine function of quantized operands."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from mase.ir.ops import norm
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import align_bias, require_exact

__all__ = ["BatchNorm", "affine"]


class _AnyBatchNorm(_BatchNorm):
    """nn.BatchNorm1d, 2d and 3d in one: they differ in the number of dimensions that they accept."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [N, C, ...], found {input.dim()} dimensions")


def affine(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """The scale and the shift of each channel, in float64.

    Args:
        weight: ``[C]``, as are the others; None is ones.
        bias: None is zeros.
        mean: of the data.
        var: of the data.
        eps: added to ``var``.
    """
    mean, var = mean.double(), var.double()
    scale = (1.0 if weight is None else weight.double()) / (var + eps).sqrt()
    return scale, -mean * scale if bias is None else bias.double() - mean * scale


@arithmetic(norm.BatchNorm, _AnyBatchNorm)
class BatchNorm(QuantizedModule):
    """``data_in * scale + shift`` for each channel of ``[N, C, ...]``.

    ``scale = weight / sqrt(var + eps)`` takes the format of ``weight``, ``shift = bias - mean * scale``
    that of ``bias``. Both are computed in float64, whose square root and division are correctly
    rounded, so that they are the same everywhere. Training uses the statistics of the quantized batch,
    through which gradients flow, and updates the running ones as `torch.nn.BatchNorm2d` does.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, ``[N, C, ...]``."""
        if all(format is None for format in self.formats.values()):
            return self.evaluate(None, super().forward, {"data_in": input})
        own = cast(Any, self)
        own._check_input_dim(input)
        exact = self._exact()
        if self.training or own.running_mean is None:
            mean, var = self._batch_statistics(self.quantized("data_in", input))
        else:
            mean, var = own.running_mean, own.running_var
        scale, shift = self._affine(mean.double(), var.double())
        if exact is None:
            scale, shift = scale.to(input.dtype), shift.to(input.dtype)
        return self.evaluate(exact, self._apply_affine, {"data_in": input, "weight": scale, "bias": shift})

    def _apply_affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        grids = [self.grid(role) for role in self.formats]
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x * scale.view(shape) + align_bias(shift, *grids).view(shape)

    def _affine(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        own = cast(Any, self)
        return affine(own.weight, own.bias, mean, var, own.eps)

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        dims = [d for d in range(x.dim()) if d != 1]
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        var, mean = torch.var_mean(x, dims, correction=0)
        count = x.numel() // x.shape[1]
        if self.training and count < 2:
            raise ValueError(f"expected more than 1 value per channel when training, found {list(x.shape)}")
        if self.training and cast(Any, self).running_mean is not None:
            self._track(mean.detach(), var.detach() * count / (count - 1))
        return mean, var

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor) -> None:
        own = cast(Any, self)
        momentum = own.momentum
        if own.num_batches_tracked is not None:
            own.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / float(own.num_batches_tracked)
        for running, value in ((own.running_mean, mean), (own.running_var, var)):
            running.lerp_(value.to(running.dtype), momentum or 0.0)

    def _exact(self) -> torch.dtype | None:
        x, scale, shift = (self.grid(role) for role in self.formats)
        if self.training or x is None or scale is None or shift is None:
            return None
        shift = shift.rounded(x.frac + scale.frac)
        return require_exact(self.op_class.name, x, scale, shift, x.times(scale).plus(shift))

    def op_attributes(self) -> dict[str, Any]:
        own = cast(Any, self)
        return {"eps": own.eps, "momentum": own.momentum}
