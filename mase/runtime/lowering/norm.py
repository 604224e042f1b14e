"""Lowering of normalisation layers."""

from __future__ import annotations

from typing import Any

from torch import nn as torch_nn

from mase.ir import TensorType
from mase.ir.ops import norm
from mase.runtime.lowering.registry import Source, to_arguments, to_module

__all__ = [
    "batch_norm",
    "batch_norm_arguments",
    "group_norm",
    "group_norm_arguments",
    "instance_norm",
    "instance_norm_arguments",
    "layer_norm",
    "layer_norm_arguments",
    "rms_norm",
    "rms_norm_arguments",
]

_BATCH_NORM = {
    2: torch_nn.BatchNorm1d,
    3: torch_nn.BatchNorm1d,
    4: torch_nn.BatchNorm2d,
    5: torch_nn.BatchNorm3d,
}


_INSTANCE_NORM = {1: torch_nn.InstanceNorm1d, 2: torch_nn.InstanceNorm2d, 3: torch_nn.InstanceNorm3d}


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


@to_arguments.register(norm.LayerNorm)
def layer_norm_arguments(op: norm.LayerNorm, source: Source) -> dict[str, Any]:
    """What the constructor of a layer norm wants to know."""
    arguments: dict[str, Any] = {"normalized_shape": list(op.normalized_shape), "eps": op.eps}
    return arguments | {"elementwise_affine": source.has("weight"), "bias": source.has("bias")}


@to_module.register(norm.LayerNorm)
def layer_norm(op: norm.LayerNorm, source: Source) -> torch_nn.Module:
    """``nn.layer_norm``."""
    return torch_nn.LayerNorm(**to_arguments(op, source))


@to_arguments.register(norm.RmsNorm)
def rms_norm_arguments(op: norm.RmsNorm, source: Source) -> dict[str, Any]:
    """What the constructor of an RMS norm wants to know."""
    arguments: dict[str, Any] = {"normalized_shape": list(op.normalized_shape), "eps": op.eps}
    return arguments | {"elementwise_affine": source.has("weight")}


@to_module.register(norm.RmsNorm)
def rms_norm(op: norm.RmsNorm, source: Source) -> torch_nn.Module:
    """``nn.rms_norm``."""
    return torch_nn.RMSNorm(**to_arguments(op, source))


@to_arguments.register(norm.GroupNorm)
def group_norm_arguments(op: norm.GroupNorm, source: Source) -> dict[str, Any]:
    """What the constructor of a group norm wants to know; without a weight any number of channels will do."""
    affine = source.has("weight")
    channels = source.shape("weight")[0] if affine else op.num_groups
    return {"num_groups": op.num_groups, "num_channels": channels, "eps": op.eps, "affine": affine}


@to_module.register(norm.GroupNorm)
def group_norm(op: norm.GroupNorm, source: Source) -> torch_nn.Module:
    """``nn.group_norm``."""
    return torch_nn.GroupNorm(**to_arguments(op, source))


@to_arguments.register(norm.InstanceNorm)
def instance_norm_arguments(op: norm.InstanceNorm, source: Source) -> dict[str, Any]:
    """What the quantized module wants to know; torch's one has its spatial dimensions in its name."""
    affine = source.has("weight")
    channels = source.node.tensor_type.shape[-op.spatial - 1]
    return {"num_features": channels, "spatial": op.spatial, "eps": op.eps, "affine": affine}


@to_module.register(norm.InstanceNorm)
def instance_norm(op: norm.InstanceNorm, source: Source) -> torch_nn.Module:
    """``nn.instance_norm``."""
    arguments = to_arguments(op, source)
    return _INSTANCE_NORM[arguments.pop("spatial")](**arguments)
