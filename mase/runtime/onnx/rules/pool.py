"""Pools."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from mase.ir.ops import pool
from mase.runtime.onnx.registry import call_to_onnx, to_onnx
from mase.runtime.onnx.rules.conv import batched, squeezed
from mase.runtime.onnx.site import Site, Value

__all__ = ["adaptive", "adaptive_with_indices", "avg_pool", "max_pool", "output_sizes", "windows_of"]


@to_onnx.register(pool.MaxPool)
def max_pool(op: pool.MaxPool, site: Site) -> str:
    """``nn.max_pool1d`` and ``nn.max_pool2d``."""
    x = batched(site, site.input(0), op.spatial)
    result = site.emit(
        "MaxPool",
        x,
        kernel_shape=list(op.kernel),
        strides=list(op.stride),
        pads=list(op.padding) * 2,
        dilations=list(op.dilation),
        ceil_mode=int(_ceils(op, site)),
    )
    return squeezed(site, result, op.spatial)


@to_onnx.register(pool.AvgPool)
def avg_pool(op: pool.AvgPool, site: Site) -> str:
    """``nn.avg_pool1d`` and ``nn.avg_pool2d``."""
    x = batched(site, site.input(0), op.spatial)
    if op.ceil_mode and op.divisor_override is not None:
        raise site.error("an average pool with ceil_mode and divisor_override has no form in ONNX")
    result = site.emit(
        "AveragePool",
        x,
        kernel_shape=list(op.kernel),
        strides=list(op.stride),
        pads=list(op.padding) * 2,
        ceil_mode=int(_ceils(op, site)),
        count_include_pad=int(op.count_include_pad or op.divisor_override is not None),
    )
    if op.divisor_override is not None:
        result = site.emit("Mul", result, site.number(math.prod(op.kernel) / op.divisor_override))
    return squeezed(site, result, op.spatial)


def _ceils(op: pool.MaxPool | pool.AvgPool, site: Site) -> bool:
    """Whether a last, incomplete window counts: torch leaves out one that lies in the padding, ONNX does not.

    Where torch leaves it out, no window is incomplete.
    """
    sizes = [d for d in site.type(0).shape[-op.spatial :] if isinstance(d, int)]
    results = [d for d in site.result.shape[-op.spatial :] if isinstance(d, int)]
    if not op.ceil_mode or len(sizes) < op.spatial:
        return op.ceil_mode
    dilations = op.dilation if isinstance(op, pool.MaxPool) else (1,) * op.spatial
    whole: list[bool] = []
    for i, (size, result) in enumerate(zip(sizes, results, strict=True)):
        span = size + 2 * op.padding[i] - dilations[i] * (op.kernel[i] - 1) - 1
        if span % op.stride[i]:
            whole.append(result == span // op.stride[i] + 1)
    if any(whole) and not all(whole):
        raise site.error(
            "a window beyond one side counts and one beyond another does not; ONNX knows one rule"
        )
    return not all(whole)


@to_onnx.register(pool.AdaptivePool)
def adaptive(op: pool.AdaptivePool, site: Site) -> str:
    """Adaptive pools: global where one window holds all, else a sliding window, else window by window.

    The largest of all is a window too where sizes are known: GlobalMaxPool takes no integers.
    """
    kind = "Max" if isinstance(op, pool.AdaptiveMaxPool1d | pool.AdaptiveMaxPool2d) else "Average"
    x = batched(site, site.input(0), op.spatial)
    known = all(isinstance(size, int) for size in site.type(0).shape[-op.spatial :])
    if all(size == 1 for size in op.output_size) and not (kind == "Max" and known):
        return squeezed(site, site.emit(f"Global{kind}Pool", x), op.spatial)
    sizes = site.fixed(site.type(0).shape[-op.spatial :], "an adaptive pool")
    wanted = output_sizes(op, sizes)
    if all(size % out == 0 for size, out in zip(sizes, wanted, strict=True)):
        kernel = [size // out for size, out in zip(sizes, wanted, strict=True)]
        result = site.emit(f"{kind}Pool", x, kernel_shape=kernel, strides=kernel)
    else:
        result = _by_window(site, x, sizes, wanted, "ReduceMax" if kind == "Max" else "ReduceMean")
    return squeezed(site, result, op.spatial)


@call_to_onnx.register("adaptive_max_pool2d", "adaptive_max_pool1d")
def adaptive_with_indices(site: Site, args: dict[str, Any]) -> Value:
    """Adaptive max-pools as ATen has them: the values, and indices that nobody may use."""
    cls = pool.AdaptiveMaxPool2d if len(args["output_size"]) == 2 else pool.AdaptiveMaxPool1d
    return adaptive(cls(output_size=tuple(args["output_size"])), site), None


def output_sizes(op: pool.AdaptivePool, sizes: tuple[int, ...]) -> list[int]:
    """The sizes of an adaptive pool's result; None keeps that of the operand."""
    return [size if out is None else out for size, out in zip(sizes, op.output_size, strict=True)]


def windows_of(sizes: tuple[int, ...], wanted: list[int]) -> list[list[tuple[int, int]]]:
    """For each dimension where the windows of an adaptive pool start and end.

    Example:
        >>> windows_of((5,), [2])
        [[(0, 3), (2, 5)]]
    """
    return [
        [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]
        for size, out in zip(sizes, wanted, strict=True)
    ]


def _by_window(site: Site, x: str, sizes: tuple[int, ...], wanted: list[int], reduce: str) -> str:
    """Each window by itself, side by side; ONNX has no operator for windows of unequal sizes."""
    axes = [i - len(sizes) for i in range(len(sizes))]
    parts: list[str] = []
    for window in product(*windows_of(sizes, wanted)):
        starts, ends = zip(*window, strict=True)
        part = site.emit("Slice", x, site.ints(*starts), site.ints(*ends), site.ints(*axes))
        parts.append(site.emit(reduce, part, site.ints(*axes), keepdims=1))
    for axis, count in reversed(list(zip(axes, wanted, strict=True))):
        groups = [parts[i : i + count] for i in range(0, len(parts), count)]
        parts = [g[0] if count == 1 else site.emit("Concat", *g, axis=axis) for g in groups]
    return parts[0]
