"""Views, paddings and what else computes nothing: they only say where elements are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mase.ir.ops import nn, tensor
from mase.ir.ops.moves import called_name, is_view
from mase.ir.ops.torch import Call
from mase.runtime.hls.network import Value
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.site import Site

__all__ = ["call", "same", "view"]

_PADDINGS = ("constant_pad_nd", "pad")


@to_hls.register(nn.Identity, nn.Dropout)
def same(op: nn.Identity, site: Site) -> Value:
    """The operand."""
    return site.values[site.node.inputs[0]]


@to_hls.register(tensor.Flatten, tensor.Transpose, tensor.Permute)
def view(op: object, site: Site) -> Value:
    """The operand, seen differently: the model's own function says where each element goes."""
    value = site.values[site.node.inputs[0]]
    moved = [_moved(site, value, by) for by in (1, 1 + value.places.size)]
    kept = moved[1] - moved[0] == value.places.size
    if ((moved[0] != 0) & ~kept).any():
        raise UnfitError("it pads with another number than 0", "hls4ml pads with zeros")
    places = np.where(kept, moved[0] - 1, -1)
    if kept.all() or value.function is None:
        return Value(value.layer, value.shape, places, value.numbers, value.function)
    raise UnfitError("it pads the result of a function", "quantize its operand")


def _moved(site: Site, value: Value, by: int) -> np.ndarray:
    """Where the elements go, counted from ``by``."""
    if value.places.min() < 0:
        raise UnfitError("it moves what was padded", "pad right before a convolution or a pool")
    places = torch.tensor(value.places + by).expand(site.runner.batch, *value.places.shape)
    found: Any = site.runner.apply(site.node, places)
    if not isinstance(found, torch.Tensor) or found.shape[0] != site.runner.batch:
        raise UnfitError("it moves elements from sample to sample", "keep the batch as it is")
    return found[0].numpy().astype(np.int64)


@to_hls.register(Call)
def call(op: Call, site: Site) -> Value:
    """Views and paddings of PyTorch."""
    if is_view(op) or called_name(op) in ("clone", "flip", *_PADDINGS):
        return view(op, site)
    raise UnfitError(f"hls4ml has no form for {op.target}", "leave it to the host")
