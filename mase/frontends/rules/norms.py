"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from mase.frontends.rules.base import CallSite, Unit, from_call, from_module, is_tensor
from mase.ir import ops
from mase.ir.op import Op
from mase.ir.types import TensorType

__all__: list[str] = []


@from_module.register(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
def _batch_norm(module: nn.BatchNorm2d) -> Op:
    momentum = module.momentum
    return ops.norm.BatchNorm(eps=float(module.eps), momentum=None if momentum is None else float(momentum))


@from_call.register("aten.batch_norm.default", "torch.batch_norm")
def _batch_norm_call(
    site: CallSite,
    input: object,
    weight: object,
    bias: object,
    running_mean: object,
    running_var: object,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Unit | None:
    # Without statistics the batch's own are used in either mode; with them the flag must follow the mode.
    follows = training if running_mean is None else training == (site.mode == "train")
    roles = site.roles(weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if not is_tensor(input) or not follows or roles is None:
        return None
    return Unit(ops.norm.BatchNorm(eps=float(eps), momentum=float(momentum)), (input,), roles)


@from_module.register(nn.LayerNorm)
def _layer_norm(module: nn.LayerNorm) -> Op:
    return ops.norm.LayerNorm(normalized_shape=tuple(module.normalized_shape), eps=float(module.eps))


@from_call.register("aten.layer_norm.default", "torch.layer_norm", "torch.nn.functional.layer_norm")
def _layer_norm_call(
    site: CallSite,
    input: object,
    normalized_shape: Sequence[int],
    weight: object = None,
    bias: object = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Unit | None:
    roles = site.roles(weight=weight, bias=bias)
    if not is_tensor(input) or roles is None or not _whole(normalized_shape):
        return None
    return Unit(ops.norm.LayerNorm(normalized_shape=tuple(normalized_shape), eps=float(eps)), (input,), roles)


@from_module.register(nn.RMSNorm)
def _rms_norm(module: nn.RMSNorm) -> Op:
    return ops.norm.RmsNorm(normalized_shape=tuple(module.normalized_shape), eps=module.eps)


@from_call.register("aten.rms_norm.default", "torch.rms_norm", "torch.nn.functional.rms_norm")
def _rms_norm_call(
    site: CallSite,
    input: object,
    normalized_shape: Sequence[int],
    weight: object = None,
    eps: float | None = None,
) -> Unit | None:
    roles = site.roles(weight=weight)
    if not is_tensor(input) or roles is None or not _whole(normalized_shape):
        return None
    return Unit(ops.norm.RmsNorm(normalized_shape=tuple(normalized_shape), eps=eps), (input,), roles)


@from_module.register(nn.GroupNorm)
def _group_norm(module: nn.GroupNorm) -> Op:
    return ops.norm.GroupNorm(num_groups=module.num_groups, eps=float(module.eps))


@from_call.register("aten.group_norm.default", "torch.group_norm", "torch.nn.functional.group_norm")
def _group_norm_call(
    site: CallSite,
    input: object,
    num_groups: int,
    weight: object = None,
    bias: object = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Unit | None:
    roles = site.roles(weight=weight, bias=bias)
    if not is_tensor(input) or roles is None:
        return None
    return Unit(ops.norm.GroupNorm(num_groups=num_groups, eps=float(eps)), (input,), roles)


_SPATIAL: dict[type[nn.Module], Literal[1, 2, 3]] = {
    nn.InstanceNorm1d: 1,
    nn.InstanceNorm2d: 2,
    nn.InstanceNorm3d: 3,
}


@from_module.register(*_SPATIAL)
def _instance_norm(module: nn.InstanceNorm2d) -> Op | None:
    if module.track_running_stats:
        return None  # in evaluation it normalises by these
    spatial: Literal[1, 2, 3] = next(rank for cls, rank in _SPATIAL.items() if isinstance(module, cls))
    return ops.norm.InstanceNorm(spatial=spatial, eps=float(module.eps))


@from_call.register("aten.instance_norm.default", "torch.instance_norm")
def _instance_norm_call(
    site: CallSite,
    input: object,
    weight: object,
    bias: object,
    running_mean: object,
    running_var: object,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Unit | None:
    roles = site.roles(weight=weight, bias=bias)
    tracks = running_mean is not None or running_var is not None or not use_input_stats
    if not is_tensor(input) or not isinstance(input.type, TensorType) or tracks or roles is None:
        return None
    spatial: dict[int, Literal[1, 2, 3]] = {3: 1, 4: 2, 5: 3}
    if input.type.rank not in spatial:
        return None
    return Unit(ops.norm.InstanceNorm(spatial=spatial[input.type.rank], eps=float(eps)), (input,), roles)


def _whole(shape: Sequence[object]) -> bool:
    """Whether a shape holds numbers only, no size of another tensor."""
    return all(isinstance(d, int) for d in shape)
