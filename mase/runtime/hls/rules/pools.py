"""Max-pooling."""

from __future__ import annotations

from typing import Any

from mase.ir.ops import pool
from mase.runtime.hls.layout import arranged, window_sizes
from mase.runtime.hls.network import Value
from mase.runtime.hls.numbers import plain
from mase.runtime.hls.registry import UnfitError, to_hls
from mase.runtime.hls.rules.products import channels_first
from mase.runtime.hls.site import Site

__all__ = ["max_pool"]

_NAMES = ("height", "width")


@to_hls.register(pool.MaxPool1d, pool.MaxPool2d)
def max_pool(op: pool.MaxPool, site: Site) -> Value:
    """``MaxPooling1D`` and ``MaxPooling2D``."""
    if any(d != 1 for d in op.dilation):
        raise UnfitError("hls4ml has no dilated pools", "use a dilation of 1")
    if op.ceil_mode:
        raise UnfitError("hls4ml drops windows that leave the image", "use ceil_mode=False")
    if site.streams and (any(op.padding) or op.stride != op.kernel):
        raise UnfitError(
            "streams are pooled in windows side by side, without padding",
            'use a stride as large as the kernel, or io_type="io_parallel"',
        )
    x = site.operand()
    channels, *before = x.places.shape
    sizes, rank = site.runner.shape(site.node)[2:], op.spatial
    x = arranged(site, x, axes=(*range(1, rank + 1), 0))
    if any(op.padding):  # hls4ml pads with the sign bit alone, which is the least number of signed types only
        x = site.typed(x, x.numbers.signed, "_signed")
    type = site.layers[x.layer].types["result"]
    found: dict[str, Any] = {}
    for i, name in enumerate(_NAMES[-rank:]):
        found |= {f"pool_{name}": op.kernel[i], f"stride_{name}": op.stride[i]}
    found |= window_sizes(before, sizes, [(p, p) for p in op.padding])
    if rank == 1:
        found |= {"n_in": found.pop("in_width"), "n_out": found.pop("out_width")}
    made = site.add(
        f"MaxPooling{rank}D",
        [x],
        (*sizes, channels),
        x.numbers,
        result=plain(type),
        types={"accum": plain(type)},
        n_filt=channels,
        count_pad=True,
        **found,
    )
    return channels_first(made)
