"""The caches of keys and values of transformers as records, so that graphs take and return them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mase.ir.records import RecordKind, register_record

__all__ = ["dynamic_cache", "dynamic_layer", "encoder_decoder_cache", "linear_layer", "sliding_layer"]

_MODULE = "transformers.cache_utils"


def _record(name: str, make: Callable[..., Any], *names: str) -> None:
    """A class whose fields are attributes."""
    kind = RecordKind(lambda value: {n: getattr(value, n) for n in names}, make)
    register_record(f"{_MODULE}.{name}", kind)


def dynamic_cache(*, layers: Sequence[Any]) -> Any:
    """A ``DynamicCache`` of such layers."""
    from transformers.cache_utils import DynamicCache

    cache: Any = DynamicCache()
    cache.layers = list(layers)
    return cache


def encoder_decoder_cache(*, self_attention_cache: Any, cross_attention_cache: Any) -> Any:
    """An ``EncoderDecoderCache`` of the two."""
    from transformers.cache_utils import EncoderDecoderCache

    made: Any = EncoderDecoderCache
    return made(self_attention_cache, cross_attention_cache)


def dynamic_layer(*, keys: Any, values: Any) -> Any:
    """A ``DynamicLayer``; one without keys has not seen a position yet."""
    from transformers.cache_utils import DynamicLayer

    return _filled(DynamicLayer(), keys, values)


def sliding_layer(*, keys: Any, values: Any, sliding_window: int, cumulative_length: Any) -> Any:
    """A ``DynamicSlidingWindowLayer``.

    Args:
        keys: the keys that are kept.
        values: the values that are kept.
        sliding_window: how many positions attention reaches.
        cumulative_length: how many positions were seen; None if all of them are kept.
    """
    from transformers.cache_utils import DynamicSlidingWindowLayer

    layer = _filled(DynamicSlidingWindowLayer(sliding_window), keys, values)
    if keys is not None:
        layer.cumulative_length = keys.shape[-2] if cumulative_length is None else cumulative_length
    return layer


def linear_layer(*, conv_states: Mapping[int, Any], recurrent_states: Mapping[int, Any]) -> Any:
    """A ``LinearAttentionLayer``: the states of a state-space model in place of keys and values."""
    from transformers.cache_utils import LinearAttentionLayer

    made: Any = LinearAttentionLayer
    layer = made(number_of_states=len(conv_states))
    for i, state in conv_states.items():
        if state is not None:
            layer.conv_states[i], layer.is_conv_states_initialized[i] = state, True
            layer.conv_kernel_size[i], layer.has_previous_state[i] = state.shape[-1], True
            layer.dtype, layer.device = state.dtype, state.device
    for i, state in recurrent_states.items():
        if state is not None:
            layer.recurrent_states[i], layer.is_recurrent_states_initialized[i] = state, True
    return layer


def _filled(layer: Any, keys: Any, values: Any) -> Any:
    if keys is not None:
        layer.keys, layer.values, layer.is_initialized = keys, values, True
        layer.dtype, layer.device = keys.dtype, keys.device
    return layer


def _sliding_fields(layer: Any) -> Mapping[str, Any]:
    seen, kept = layer.cumulative_length, 0 if layer.keys is None else layer.keys.shape[-2]
    all_kept = isinstance(seen, int) and isinstance(kept, int) and seen == kept
    return {
        "keys": layer.keys,
        "values": layer.values,
        "sliding_window": layer.sliding_window,
        "cumulative_length": None if all_kept else seen,
    }


def _sliding_refusal(layer: Any) -> str | None:
    if _sliding_fields(layer)["cumulative_length"] is None:
        return None
    return (
        "a cache has dropped positions that its window of attention has left behind, and counts them in a "
        "Python number, which a graph cannot follow"
    )


_record("DynamicCache", dynamic_cache, "layers")
_record("EncoderDecoderCache", encoder_decoder_cache, "self_attention_cache", "cross_attention_cache")
_record("DynamicLayer", dynamic_layer, "keys", "values")
_record("LinearAttentionLayer", linear_layer, "conv_states", "recurrent_states")
register_record(
    f"{_MODULE}.DynamicSlidingWindowLayer", RecordKind(_sliding_fields, sliding_layer, _sliding_refusal)
)
