"""Attention, rotary embeddings and caches, step by step: their own operators came with opset 23."""

from __future__ import annotations

import math

import numpy as np

from mase.ir import BOOL, Format, TensorType
from mase.ir.ops import attention
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.onnx.registry import to_onnx, to_onnx_quantized
from mase.runtime.onnx.site import Site

__all__ = ["attend", "attention_op", "kv_cache", "quantized_attention", "rotary"]


@to_onnx.register(attention.Attention)
def attention_op(op: attention.Attention, site: Site) -> str:
    """``nn.attention``."""
    return attend(op, site, None)


@to_onnx_quantized.register(attention.Attention)
def quantized_attention(op: attention.Attention, site: Site) -> str:
    """The same, its weights quantized if they have a format."""
    assert isinstance(site.node.op, QuantizedOp)
    return attend(op, site, site.node.op.formats.get("probs"))


def attend(op: attention.Attention, site: Site, probs_format: Format | None) -> str:
    """``softmax(query @ key.T * scale + mask) @ value``."""
    query, key, value = site.inputs[:3]
    if op.grouped:
        key, value = _repeated(site, key, 1), _repeated(site, value, 2)
    order = list(range(site.rank(1)))
    order[-1], order[-2] = order[-2], order[-1]
    product = site.emit("MatMul", query, site.emit("Transpose", key, perm=order))
    features = site.fixed(site.type(0).shape[-1:], "features of query")[0]
    scores = site.emit("Mul", product, site.number(1 / math.sqrt(features) if op.scale is None else op.scale))
    if op.causal:
        scores = _masked(site, scores, _earlier(site))
    masked = len(site.inputs) > 3
    if masked and site.type(3).format == BOOL:
        scores = _masked(site, scores, site.input(3))
    elif masked:
        scores = site.emit("Add", scores, site.input(3))
    probs = site.emit("Softmax", scores, axis=-1)
    if masked:  # who attends to nothing gets nothing
        probs = site.emit("Where", site.emit("IsNaN", probs), site.number(0.0), probs)
    if probs_format is not None and site.quantizers is not None:
        probs = site.quantizers.activation(site, "probs", probs, probs_format)
    return site.emit("MatMul", probs, value)


def _masked(site: Site, scores: str, mask: str) -> str:
    return site.emit("Where", mask, scores, site.number(-math.inf))


def _earlier(site: Site) -> str:
    """A mask that is true where a position may be attended to."""
    lengths = site.builder.shape((site.type(0).shape[-2], site.type(1).shape[-2]))
    ones = site.emit("ConstantOfShape", lengths, value=_tensor(np.ones(1, np.int64)))
    return site.cast(site.emit("Trilu", ones, upper=0), BOOL)


def _repeated(site: Site, value: str, position: int) -> str:
    """Keys or values with each head as often as query heads share it."""
    type = site.type(position)
    heads, query_heads = type.shape[-3], site.type(0).shape[-3]
    times = site.fixed((query_heads // heads,), "query heads for each key head")[0]
    if times == 1:
        return value
    batch, (length, features) = type.shape[:-3], type.shape[-2:]
    spread = site.emit("Unsqueeze", value, site.ints(type.rank - 2))
    wide = (*batch, heads, times, length, features)
    spread = site.emit("Expand", spread, site.builder.shape(wide))
    return site.reshape(spread, wide, (*batch, query_heads, length, features))


def _tensor(array: np.ndarray) -> object:
    import onnx

    return onnx.numpy_helper.from_array(array)


@to_onnx.register(attention.RotaryEmbedding)
def rotary(op: attention.RotaryEmbedding, site: Site) -> str:
    """``nn.rotary_embedding``."""
    x, cos, sin = (site.input(i) for i in range(3))
    features = site.fixed(site.type(0).shape[-1:], "features")[0]
    if op.interleaved:
        even = _slice(site, x, 0, features, 2)
        odd = site.emit("Neg", _slice(site, x, 1, features, 2))
        last = site.ints(site.rank())
        pairs = site.emit(
            "Concat", site.emit("Unsqueeze", odd, last), site.emit("Unsqueeze", even, last), axis=-1
        )
        shape = site.type(0).shape
        turned = site.reshape(pairs, (*shape[:-1], features // 2, 2), shape)
    else:
        half = features // 2
        low, high = _slice(site, x, 0, half), _slice(site, x, half, features)
        turned = site.emit("Concat", site.emit("Neg", high), low, axis=-1)
    return site.emit("Add", site.emit("Mul", x, cos), site.emit("Mul", turned, sin))


def _slice(site: Site, x: str, start: int, end: int, step: int = 1) -> str:
    return site.emit("Slice", x, *(site.ints(n) for n in (start, end, -1, step)))


@to_onnx.register(attention.KVCache)
def kv_cache(op: attention.KVCache, site: Site) -> str:
    """``nn.kv_cache``."""
    assert isinstance(site.node.type, TensorType)
    return site.emit("Concat", site.input(0), site.input(1), axis=op.dim)
