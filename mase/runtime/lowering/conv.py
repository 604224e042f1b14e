"""Lowering of convolutions."""

from __future__ import annotations

from typing import Any

from torch import nn as torch_nn

from mase.ir.ops import conv
from mase.runtime.lowering.registry import Source, to_arguments, to_module

__all__ = ["conv_arguments", "convolution", "set_padding", "transposed", "transposed_arguments"]

_CONV = (torch_nn.Conv1d, torch_nn.Conv2d, torch_nn.Conv3d)
_TRANSPOSED = (torch_nn.ConvTranspose1d, torch_nn.ConvTranspose2d, torch_nn.ConvTranspose3d)


@to_module.register(conv.Conv)
def convolution(op: conv.Conv, source: Source) -> torch_nn.Module:
    """``nn.conv1d``, ``nn.conv2d`` and ``nn.conv3d``."""
    return set_padding(_CONV[op.spatial - 1](**to_arguments(op, source)), op)


@to_module.register(conv.ConvTranspose)
def transposed(op: conv.ConvTranspose, source: Source) -> torch_nn.Module:
    """``nn.conv_transpose1d``, ``nn.conv_transpose2d`` and ``nn.conv_transpose3d``."""
    return _TRANSPOSED[op.spatial - 1](**to_arguments(op, source))


@to_arguments.register(conv.Conv)
def conv_arguments(op: conv.Conv, source: Source) -> dict[str, Any]:
    """What the constructor of a convolution wants to know, all but asymmetric padding."""
    out_channels, group_channels, *kernel = source.shape("weight")
    return {
        "in_channels": group_channels * op.groups,
        "out_channels": out_channels,
        "kernel_size": tuple(kernel),
        "stride": op.stride,
        "padding": _padding(op, kernel),
        "dilation": op.dilation,
        "groups": op.groups,
        "bias": source.has("bias"),
        "padding_mode": op.padding_mode,
    }


@to_arguments.register(conv.ConvTranspose)
def transposed_arguments(op: conv.ConvTranspose, source: Source) -> dict[str, Any]:
    """What the constructor of a transposed convolution wants to know."""
    in_channels, group_channels, *kernel = source.shape("weight")
    return {
        "in_channels": in_channels,
        "out_channels": group_channels * op.groups,
        "kernel_size": tuple(kernel),
        "stride": op.stride,
        "padding": op.padding,
        "output_padding": op.output_padding,
        "groups": op.groups,
        "bias": source.has("bias"),
        "dilation": op.dilation,
    }


def _padding(op: conv.Conv, kernel: list[int]) -> Any:
    if all(before == after for before, after in op.padding):
        return tuple(before for before, _ in op.padding)
    reach = [d * (k - 1) for d, k in zip(op.dilation, kernel, strict=True)]
    is_same = tuple((r // 2, r - r // 2) for r in reach) == op.padding
    return "same" if is_same and set(op.stride) == {1} else 0


def set_padding(module: Any, op: conv.Conv) -> Any:
    """Give a convolution the op's padding where no constructor argument can express it.

    torch pads before it convolves unless the mode is "zeros"; "constant" is the same mode by another
    name, and takes a pair for each dimension.
    """
    symmetric = all(before == after for before, after in op.padding)
    if not symmetric and module.padding != "same":
        module._reversed_padding_repeated_twice = [p for pair in reversed(op.padding) for p in pair]
        module.padding_mode = "constant" if op.padding_mode == "zeros" else op.padding_mode
    return module
