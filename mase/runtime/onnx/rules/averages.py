"""Averages of fixed-point numbers: the exact sum, times a fixed-point ``1/n``."""

from __future__ import annotations

import math

import numpy as np

from mase.ir import F32, Fixed
from mase.ir.formats import Dtype
from mase.ir.ops import pool, tensor
from mase.runtime.modules.average import Factor, factor_of
from mase.runtime.onnx.builder import QONNX_DOMAIN
from mase.runtime.onnx.registry import to_onnx, to_onnx_quantized
from mase.runtime.onnx.rules.pool import output_sizes, windows_of
from mase.runtime.onnx.site import Site

__all__ = ["adaptive_pool", "avg_pool", "mean", "times"]

_F64 = Dtype("f64")


def times(site: Site, sums: str, factor: Factor) -> str:
    """Sums times their factors, in the float type that holds the products."""
    bits = _bits(site) + max(factor.codes).bit_length() + factor.terms.bit_length()
    exact = F32 if bits <= 24 else _F64
    codes = np.array(factor.codes, np.float64).reshape(factor.shape) * 2.0**-factor.frac
    by = site.constant(codes.astype(np.float32 if exact == F32 else np.float64), "reciprocal")
    wide = sums if exact == F32 else site.cast(sums, _F64)
    result = site.emit("Mul", wide, by)
    return result if exact == F32 else site.cast(result, F32)


def _bits(site: Site) -> int:
    format = site.formats.get("data_in")
    assert isinstance(format, Fixed)
    return format.width


def _is_fixed(site: Site) -> bool:
    return isinstance(site.formats.get("data_in"), Fixed)


@to_onnx_quantized.register(tensor.Mean)
def mean(op: tensor.Mean, site: Site) -> str:
    """``tensor.mean``."""
    if not _is_fixed(site):
        return str(to_onnx(op, site))
    rank = site.rank()
    dims = tuple(range(rank)) if op.dims is None else op.dims
    sizes = site.fixed([site.type(0).shape[d] for d in dims], "a mean")
    factor = factor_of((((0, math.prod(sizes)),),), None, _bits(site))
    sums = site.emit("ReduceSum", site.input(0), site.ints(*dims), keepdims=int(op.keepdim))
    return times(site, sums, factor)


@to_onnx_quantized.register(pool.AvgPool)
def avg_pool(op: pool.AvgPool, site: Site) -> str:
    """``nn.avg_pool1d`` and ``nn.avg_pool2d``: sums by a convolution with ones."""
    if not _is_fixed(site):
        return str(to_onnx(op, site))
    if op.ceil_mode:
        raise site.error("a quantized average pool with ceil_mode has no form in ONNX")
    *_, channels = site.fixed(site.type(0).shape[: -op.spatial][-1:], "channels of an average pool")
    sizes = site.fixed(site.type(0).shape[-op.spatial :], "an average pool")
    factor = factor_of(_windows(op, sizes), op.divisor_override, _bits(site))
    ones = _ones(site, (channels, 1, *op.kernel))
    if site.rank() == op.spatial + 1:
        raise site.error("a quantized average pool needs a batch dimension")
    sums = site.emit(
        "Conv",
        site.input(0),
        ones,
        kernel_shape=list(op.kernel),
        strides=list(op.stride),
        pads=list(op.padding) * 2,
        group=channels,
    )
    return times(site, sums, factor)


def _ones(site: Site, shape: tuple[int, ...]) -> str:
    """Ones, as weights are in this file; a runtime may quantize float weights itself, and not to ones."""
    if site.quantizers is None or site.quantizers.kind != "qdq":
        return site.constant(np.ones(shape, np.float32), "ones")
    codes = site.constant(np.ones(shape, np.int8), "ones")
    scale, zero = site.constant(np.float32(1), "one"), site.constant(np.int8(0), "zero")
    return site.emit("DequantizeLinear", codes, scale, zero, called="ones_dequantize")


def _windows(op: pool.AvgPool, sizes: tuple[int, ...]) -> tuple[tuple[tuple[int, int], ...], ...]:
    found: list[tuple[tuple[int, int], ...]] = []
    for size, kernel, stride, pad in zip(sizes, op.kernel, op.stride, op.padding, strict=True):
        count = (size + 2 * pad - kernel) // stride + 1
        spans = [(i * stride - pad, min(i * stride - pad + kernel, size + pad)) for i in range(count)]
        if not op.count_include_pad:
            spans = [(max(start, 0), min(end, size)) for start, end in spans]
        found.append(tuple(spans))
    return tuple(found)


@to_onnx_quantized.register(pool.AdaptiveAvgPool1d, pool.AdaptiveAvgPool2d)
def adaptive_pool(op: pool.AdaptivePool, site: Site) -> str:
    """Adaptive average pools: sums over each dimension as products with matrices of zeros and ones."""
    if not _is_fixed(site):
        return str(to_onnx(op, site))
    sizes = site.fixed(site.type(0).shape[-op.spatial :], "an adaptive pool")
    wanted = output_sizes(op, sizes)
    windows = windows_of(sizes, wanted)
    value = site.input(0)
    factor = factor_of(tuple(map(tuple, windows)), None, _bits(site))
    if site.quantizers is not None and site.quantizers.kind == "qonnx" and len(factor.codes) == 1:
        channels = site.fixed(site.type(0).shape[-op.spatial - 1 : -op.spatial], "channels of a pool")[0]
        if all(out == 1 for out in wanted) and _bits(site) + _odd(factor)[0].bit_length() <= 16:
            return _by_convolution(site, channels, sizes, factor)
    if all(out == 1 for out in wanted):
        value = site.emit("ReduceSum", value, site.ints(*range(-op.spatial, 0)), keepdims=1)
    else:
        value = site.emit("MatMul", value, _window_matrix(site, sizes[-1], windows[-1]))
        if op.spatial == 2:
            value = site.emit("MatMul", _window_matrix(site, sizes[0], windows[0], across=True), value)
    return times(site, value, factor)


def _odd(factor: Factor) -> tuple[int, int]:
    """The first code without its factors of two, and its fractional bits."""
    code, frac = factor.codes[0], factor.frac
    zeros = (code & -code).bit_length() - 1
    return code >> zeros, frac - zeros


def _by_convolution(site: Site, channels: int, sizes: tuple[int, ...], factor: Factor) -> str:
    """A convolution of every channel with ``1/n``, which hardware tools know better than averages."""
    code, frac = _odd(factor)
    value = np.ldexp(np.full((channels, 1, *sizes), code, np.float32), -frac)
    scale, zero = site.constant(np.float32(2.0**-frac), "scale"), site.constant(np.float32(0), "zero")
    bits = site.constant(np.float32(code.bit_length() + 1), "bits")
    weights = site.emit(
        "Quant",
        site.constant(value, "weights"),
        scale,
        zero,
        bits,
        domain=QONNX_DOMAIN,
        signed=1,
        narrow=0,
        rounding_mode="ROUND",
    )
    ones = [1] * len(sizes)
    return site.emit(
        "Conv",
        site.input(0),
        weights,
        kernel_shape=list(sizes),
        strides=ones,
        pads=[0] * 2 * len(sizes),
        dilations=ones,
        group=channels,
    )


def _window_matrix(site: Site, size: int, spans: list[tuple[int, int]], across: bool = False) -> str:
    """Zeros and ones that sum each window of a dimension; ``across`` multiplies from the left."""
    ones = np.zeros((size, len(spans)), np.float32)
    for column, (start, end) in enumerate(spans):
        ones[start:end, column] = 1
    return site.constant(ones.T if across else ones, "windows")
