"""Where a layer gives which element, and the layers that move elements where others want them.

Views of the graph move nothing: `Value.places` says where each element is. Only layers that look at windows,
rows or two values at once want an order of their own; mostly it is the one that their operand has already.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.runtime.hls.network import Value
from mase.runtime.hls.registry import UnfitError
from mase.runtime.hls.site import Site

__all__ = ["arranged", "window_sizes"]


def arranged(
    site: Site, value: Value, axes: Sequence[int] | None = None, shape: Sequence[int] | None = None
) -> Value:
    """A value whose layer gives its elements in a given order.

    Args:
        site: the node that wants it.
        value: any value.
        axes: the value's axes, without the batch, in the order that is wanted; as they are if absent.
        shape: what the result is reshaped to then.

    Raises:
        UnfitError: if elements would have to be chosen or repeated.
    """
    places = value.places if axes is None else value.places.transpose(axes)
    sizes = tuple(places.shape if shape is None else shape)
    order = places.reshape(-1)
    if not np.array_equal(order, np.arange(np.prod(value.shape))):
        value = _padded(site, value, places) if (order < 0).any() else _transposed(site, value, order)
    if value.shape != sizes:
        return site.add(
            "Reshape",
            [value],
            sizes,
            value.numbers,
            suffix="_reshaped",
            result=site.layers[value.layer].types["result"],
            target_shape=list(sizes),
        )
    return Value(value.layer, sizes, np.arange(np.prod(sizes)).reshape(sizes), value.numbers)


def _transposed(site: Site, value: Value, order: NDArray[np.int64]) -> Value:
    there = np.arange(np.prod(value.shape)).reshape(value.shape)
    for axes in permutations(range(len(value.shape))):
        if np.array_equal(there.transpose(axes).reshape(-1), order):
            sizes = there.transpose(axes).shape
            return site.add(
                "Transpose",
                [value],
                sizes,
                value.numbers,
                suffix="_transposed",
                result=site.layers[value.layer].types["result"],
                perm=list(axes),
            )
    if len(set(order.tolist())) < len(order):
        raise UnfitError("it repeats elements, as padding by reflection does", "pad with zeros")
    raise UnfitError("its operand is a part of a value, or shuffled", "hls4ml moves whole axes only")


def _padded(site: Site, value: Value, places: NDArray[np.int64]) -> Value:
    """Zeros around the spatial axes; the last one is that of the channels."""
    kept = np.argwhere(places >= 0)
    first, last = kept.min(0), kept.max(0) + 1
    inner = places[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    rank = places.ndim - 1
    if rank not in (1, 2) or first[-1] or last[-1] != places.shape[-1] or (inner < 0).any():
        raise UnfitError("it pads channels, or between elements", "hls4ml pads lengths, heights and widths")
    if not np.array_equal(inner.reshape(-1), np.arange(np.prod(value.shape))):
        value = _transposed(site, value, inner.reshape(-1))
    value = arranged(
        site, Value(value.layer, value.shape, np.arange(inner.size).reshape(inner.shape), value.numbers)
    )
    pads = [(int(a), int(size - b)) for a, b, size in zip(first, last, places.shape, strict=True)][:rank]
    numbers = value.numbers.with_zero()
    value = site.typed(value, str(numbers), "_unpadded")
    return site.add(
        f"ZeroPadding{rank}D",
        [value],
        places.shape,
        numbers,
        suffix="_padded",
        result=site.layers[value.layer].types["result"],
        **window_sizes(inner.shape, places.shape, pads),
        n_chan=inner.shape[-1],
    )


def window_sizes(
    before: Sequence[int], after: Sequence[int], pads: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """The sizes of an image or a sequence before and after a layer, as hls4ml calls them.

    Example:
        >>> window_sizes((8, 3), (10, 3), [(1, 1)])["pad_right"]
        1
    """
    names = ("height", "width")[-len(pads) :]
    ends = {"height": ("top", "bottom"), "width": ("left", "right")}
    found: dict[str, Any] = {"data_format": "channels_last"}
    for i, name in enumerate(names):
        found |= {f"in_{name}": int(before[i]), f"out_{name}": int(after[i])}
        found |= {f"pad_{end}": int(n) for end, n in zip(ends[name], pads[i], strict=True)}
    return found
