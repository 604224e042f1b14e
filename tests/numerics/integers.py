"""The float ops on int64 arrays of codes, written from their definitions and without torch."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def conv(
    x: Ints,
    weight: Ints,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
    mode: str,
) -> Ints:
    """Cross-correlation of [N, C, *spatial] with [out, C/groups, *kernel]."""
    x = np.pad(x, [(0, 0), (0, 0), *padding], mode=PAD_MODES[mode])
    rank = x.ndim - 2
    kernel = weight.shape[2:]
    sizes = [(x.shape[2 + d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in range(rank)]
    result = np.zeros((x.shape[0], weight.shape[0], *sizes), np.int64)
    per_in, per_out = x.shape[1] // groups, weight.shape[0] // groups
    for out in range(weight.shape[0]):
        first = out // per_out * per_in
        for c, offsets in itertools.product(range(per_in), itertools.product(*map(range, kernel))):
            places = [
                slice(k * dilation[d], k * dilation[d] + (sizes[d] - 1) * stride[d] + 1, stride[d])
                for d, k in enumerate(offsets)
            ]
            result[:, out] += weight[(out, c, *offsets)] * x[(slice(None), first + c, *places)]
    return result


def conv_transpose(
    x: Ints,
    weight: Ints,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Ints:
    """Each input element adds its multiple of the kernel, [in, out/groups, *kernel], to the output."""
    rank = x.ndim - 2
    kernel = weight.shape[2:]
    full = [
        (x.shape[2 + d] - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1 + output_padding[d]
        for d in range(rank)
    ]
    per_in, per_out = x.shape[1] // groups, weight.shape[1]
    result = np.zeros((x.shape[0], per_out * groups, *full), np.int64)
    for c, o, offsets in itertools.product(
        range(x.shape[1]), range(per_out), itertools.product(*map(range, kernel))
    ):
        places = [
            slice(k * dilation[d], k * dilation[d] + (x.shape[2 + d] - 1) * stride[d] + 1, stride[d])
            for d, k in enumerate(offsets)
        ]
        result[(slice(None), c // per_in * per_out + o, *places)] += weight[(c, o, *offsets)] * x[:, c]
    crop = [slice(padding[d], full[d] - padding[d]) for d in range(rank)]
    return result[(slice(None), slice(None), *crop)]


Windows = list[list[tuple[int, int]]]


def pool_sum(x: Ints, windows: Windows) -> Ints:
    """The sum over each window of the last dimensions; a window may reach into zero padding."""
    rank = len(windows)
    result = np.zeros((*x.shape[:-rank], *map(len, windows)), np.int64)
    for place in itertools.product(*(range(len(w)) for w in windows)):
        cut = tuple(
            slice(max(windows[d][i][0], 0), min(windows[d][i][1], x.shape[d - rank]))
            for d, i in enumerate(place)
        )
        result[(..., *place)] = x[(..., *cut)].sum(axis=tuple(range(-rank, 0)))
    return result


def rne_ratio(a: int, b: int) -> int:
    """``a / b`` to the nearest integer, ties to even."""
    return (2 * a + b) // (2 * b) - ((2 * a + b) % (2 * b) == 0 and (2 * a + b) // (2 * b) % 2 == 1)
