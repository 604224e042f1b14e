"""Caches of transformers come apart into records and are made again."""

from typing import Any

import pytest
import torch

from mase.frontends.layout import flatten, rebuild, refusal
from mase.ir.template import Template

caches: Any = pytest.importorskip("transformers.cache_utils")


def _states(length: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 4, length, 8), torch.randn(2, 4, length, 8)


def _sliding(*lengths: int, window: int = 4) -> Any:
    layer = caches.DynamicSlidingWindowLayer(window)
    for length in lengths:
        layer.update(*_states(length))
    return layer


def _of(*layers: Any) -> Any:
    cache = caches.DynamicCache()
    cache.layers = list(layers)
    return cache


def _linear() -> Any:
    layer = caches.LinearAttentionLayer()
    layer.update_conv_state(torch.randn(2, 6, 4))
    layer.update_recurrent_state(torch.randn(2, 6, 5))
    return layer


CACHES = {
    "empty": lambda: caches.DynamicCache(),
    "full": lambda: caches.DynamicCache([_states(), _states()]),
    "unused layer": lambda: _of(caches.DynamicLayer(), _sliding()),
    "window": lambda: _of(_sliding(2)),
    "window left behind": lambda: _of(_sliding(3, 2)),
    "pair": lambda: caches.EncoderDecoderCache(
        caches.DynamicCache([_states()]), caches.DynamicCache([_states(5)])
    ),
    "pair before the first word": lambda: caches.EncoderDecoderCache(
        caches.DynamicCache(), caches.DynamicCache()
    ),
    "state space": lambda: _of(_linear()),
}


def _grown(cache: Any) -> Any:
    """The cache and what it tells after one more position."""
    torch.manual_seed(0)
    inner = getattr(cache, "self_attention_cache", cache)
    if isinstance(next(iter(inner.layers), None), caches.LinearAttentionLayer):
        return cache, inner.layers[0].update_conv_state(torch.randn(2, 6, 1)), inner.has_previous_state()
    given = inner.update(*_states(1), 0)
    return cache, *given, inner.get_seq_length(), inner.get_mask_sizes(1, 0)


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_is_made_again(name: str) -> None:
    cache = CACHES[name]()
    leaves, layout = flatten(cache)
    assert Template.parse(str(Template.of(layout))).value == layout
    again = rebuild(layout, [x.clone() if isinstance(x, torch.Tensor) else x for x in leaves])
    assert type(again) is type(cache)
    (a, structure), (b, other) = flatten(_grown(cache)), flatten(_grown(again))
    assert structure == other
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert getattr(again, "is_updated", None) == getattr(cache, "is_updated", None)


def test_a_window_left_behind_is_no_input() -> None:
    assert refusal((_of(_sliding(2)), None)) is None
    assert "Python number" in str(refusal([{}, _of(_sliding(3, 2))]))
