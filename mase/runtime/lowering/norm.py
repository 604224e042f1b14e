"""Lowering of normalisation layers."""

from __future__ import annotations

from typing import Any

from torch import nn as torch_nn

from mase.ir import TensorType
from mase.ir.ops import norm
from mase.runtime.lowering.registry import Source, to_arguments, to_module

__all__ = ["batch_norm", "batch_norm_arguments", "group_norm", "layer_norm", "rms_norm"]

_BATCH_NORM = {
    2: torch_nn.BatchNorm1d,
    3: torch_nn.BatchNorm1d,
    4: torch_nn.BatchNorm2d,
    5: torch_nn.BatchNorm3d,
}


@to_arguments.register(norm.BatchNorm)
def batch_norm_arguments(op: norm.BatchNorm, source: Source) -> dict[str, Any]:
    """What the constructor of a batch norm wants to know.

    Raises:
        MaseError: if the number of channels is not known.
    """
    type = source.node.type
    channels = type.shape[1] if isinstance(type, TensorType) else None
    if not isinstance(channels, int):
        raise source.error(f"expected a known number of channels, found {type}")
    return {
        "num_features": channels,
        "eps": op.eps,
        "momentum": op.momentum,
        "affine": source.has("weight") or source.has("bias"),
        "track_running_stats": source.has("running_mean"),
    }


@to_module.register(norm.BatchNorm)
def batch_norm(op: norm.BatchNorm, source: Source) -> torch_nn.Module:
    """``nn.batch_norm``."""
    return _BATCH_NORM[source.node.tensor_type.rank](**to_arguments(op, source))


@to_module.register(norm.LayerNorm)
def layer_norm(op: norm.LayerNorm, source: Source) -> torch_nn.Module:
    """``nn.layer_norm``."""
    return torch_nn.LayerNorm(list(op.normalized_shape), op.eps, source.has("weight"), source.has("bias"))


@to_module.register(norm.RmsNorm)
def rms_norm(op: norm.RmsNorm, source: Source) -> torch_nn.Module:
    """``nn.rms_norm``."""
    return torch_nn.RMSNorm(list(op.normalized_shape), op.eps, source.has("weight"))


@to_module.register(norm.GroupNorm)
def group_norm(op: norm.GroupNorm, source: Source) -> torch_nn.Module:
    """``nn.group_norm``."""
    channels = source.shape("weight")[0] if source.has("weight") else op.num_groups
    return torch_nn.GroupNorm(op.num_groups, channels, op.eps, source.has("weight"))
