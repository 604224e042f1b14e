"""Normalisation layers in evaluation."""

from __future__ import annotations

import numpy as np

from mase.ir.ops import norm
from mase.runtime.onnx.registry import to_onnx
from mase.runtime.onnx.rules.conv import batched, squeezed
from mase.runtime.onnx.site import Site

__all__ = ["affine_or", "batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]

_EPS = 1.1920928955078125e-07  # float32's, which torch takes where none is given


def affine_or(site: Site, role: str, fill: float, size: int) -> str:
    """A weight or bias, or what does nothing in its place."""
    return site.param(role) or site.constant(np.full(size, fill, np.float32), role)


@to_onnx.register(norm.BatchNorm)
def batch_norm(op: norm.BatchNorm, site: Site) -> str:
    """``nn.batch_norm`` by its running statistics."""
    if not (site.has("running_mean") and site.has("running_var")):
        raise site.error("a batch norm without running statistics depends on the batch; ONNX has none")
    (channels,) = site.tensor("running_mean").shape
    scale, shift = affine_or(site, "weight", 1.0, channels), affine_or(site, "bias", 0.0, channels)
    mean, var = site.param("running_mean"), site.param("running_var")
    return site.emit("BatchNormalization", site.input(0), scale, shift, mean, var, epsilon=op.eps)


@to_onnx.register(norm.LayerNorm)
def layer_norm(op: norm.LayerNorm, site: Site) -> str:
    """``nn.layer_norm``."""
    weight = site.param("weight") or site.constant(np.ones(op.normalized_shape, np.float32), "weight")
    axis = -len(op.normalized_shape)
    return site.emit(
        "LayerNormalization", site.input(0), weight, site.param("bias"), axis=axis, epsilon=op.eps
    )


@to_onnx.register(norm.RmsNorm)
def rms_norm(op: norm.RmsNorm, site: Site) -> str:
    """``nn.rms_norm``, step by step: its own operator came with opset 23."""
    x, axes = site.input(0), site.ints(*range(-len(op.normalized_shape), 0))
    mean = site.emit("ReduceMean", site.emit("Mul", x, x), axes, keepdims=1)
    eps = _EPS if op.eps is None else op.eps
    root = site.emit("Sqrt", site.emit("Add", mean, site.number(eps)))
    normal = site.emit("Div", x, root)
    return site.emit("Mul", normal, site.param("weight")) if site.has("weight") else normal


@to_onnx.register(norm.GroupNorm)
def group_norm(op: norm.GroupNorm, site: Site) -> str:
    """``nn.group_norm``."""
    channels = site.fixed(site.type(0).shape[1:2], "channels of a group norm")[0]
    scale, shift = affine_or(site, "weight", 1.0, channels), affine_or(site, "bias", 0.0, channels)
    return site.emit(
        "GroupNormalization", site.input(0), scale, shift, epsilon=op.eps, num_groups=op.num_groups
    )


@to_onnx.register(norm.InstanceNorm)
def instance_norm(op: norm.InstanceNorm, site: Site) -> str:
    """``nn.instance_norm``."""
    dims = site.type(0).shape[-op.spatial - 1 : -op.spatial]
    (channels,) = site.fixed(dims, "channels of an instance norm")
    x = batched(site, site.input(0), op.spatial)
    scale, shift = affine_or(site, "weight", 1.0, channels), affine_or(site, "bias", 0.0, channels)
    return squeezed(site, site.emit("InstanceNormalization", x, scale, shift, epsilon=op.eps), op.spatial)
