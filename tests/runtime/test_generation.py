"""Generation on lowered graphs gives the tokens that transformers' own model generates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import fx, nn

import mase
from mase.ir import MaseError
from mase.runtime.generation import Decoder, generation_config, split_at
from tests.runtime.encoder_decoders import NAMES, captured, model, sources

SEARCHES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3},
    {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 2, "no_repeat_ngram_size": 2},
    {"num_beams": 2, "num_return_sequences": 2},
    {"do_sample": True, "top_k": 5},
]


def starts(name: str, samples: int) -> torch.Tensor:
    return torch.full((samples, 1), model(name).config.decoder_start_token_id)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_those_of_transformers(name: str) -> None:
    decoder, inputs = Decoder(mase.lower(captured(name)).eval()), sources()
    found: list[list[int]] = []
    for search in SEARCHES:
        config = generation_config({**search, "max_new_tokens": 12}, pad_token_id=0, eos_token_id=2)
        torch.manual_seed(0)
        ours = decoder.search(inputs, starts(name, 4), config)
        torch.manual_seed(0)
        theirs = model(name).generate(**inputs, **search, max_new_tokens=12, use_cache=False)
        assert ours.tolist() == theirs.tolist(), search
        found += ours.tolist()
    assert len({tuple(tokens) for tokens in found}) > 8, "what is generated has to depend on the source"


def test_generation_does_not_depend_on_the_batch() -> None:
    decoder, inputs = Decoder(mase.lower(captured("bart")).eval()), sources()
    config = generation_config({"num_beams": 2, "max_new_tokens": 8}, pad_token_id=0, eos_token_id=2)
    together = decoder.search(inputs, starts("bart", 4), config)
    for i in range(4):
        alone = decoder.search({k: v[i : i + 1] for k, v in inputs.items()}, starts("bart", 1), config)
        length = alone.shape[1]
        assert together[i, :length].tolist() == alone[0].tolist()
        # transformers (5.24) fills up with the end token where the padding token is 0.
        assert set(together[i, length:].tolist()) <= {0, 2}


def test_the_encoder_runs_once() -> None:
    module = mase.lower(captured("bart")).eval()
    calls = {"encoder": 0, "decoder": 0}

    def count(part: str) -> Any:
        def hook(*_: object) -> None:
            calls[part] += 1

        return hook

    for part in calls:
        module.get_submodule(f"model.{part}.layers.0.self_attn.q_proj").register_forward_hook(count(part))
    module.get_submodule("model.decoder.layers.0.encoder_attn.k_proj").register_forward_hook(count("cross"))
    calls["cross"] = 0
    config = generation_config({"max_new_tokens": 6, "min_new_tokens": 6}, pad_token_id=0, eos_token_id=2)
    Decoder(module).search(sources(), starts("bart", 4), config)
    assert calls == {"encoder": 1, "decoder": 6, "cross": 1}


@pytest.mark.parametrize("name", NAMES)
def test_both_parts_together_are_the_module(name: str) -> None:
    module, inputs = mase.lower(captured(name)).eval(), sources()
    target = torch.randint(2, 24, (4, 5))
    halves = split_at(module, "decoder_input_ids")
    whole = module(**inputs, decoder_input_ids=target)
    parts = halves.each(target, halves.once(**inputs))
    assert type(parts) is type(whole)
    assert torch.equal(parts.logits, whole.logits)
    shared = {id(p) for half in (halves.once, halves.each) for p in half.parameters()}
    assert shared == {id(p) for p in module.parameters()}


def test_the_argument_must_exist() -> None:
    with pytest.raises(MaseError, match="no argument 'decoder_ids'"):
        split_at(fx.symbolic_trace(nn.Linear(2, 2)), "decoder_ids")


def test_missing_inputs_are_named() -> None:
    decoder = Decoder(mase.lower(captured("t5")).eval())
    with pytest.raises(MaseError, match="needs attention_mask, which the batch lacks"):
        decoder.search({"input_ids": torch.ones(1, 2)}, torch.zeros(1, 1), generation_config({}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beam": 2}, "unknown generation option 'num_beam'"),
        ({"use_cache": True}, "unknown generation option 'use_cache'"),
        ({"max_new_tokens": 0}, "generation: .*max_new_tokens"),
        ({"early_stopping": "maybe"}, "generation: .*early_stopping"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        generation_config(options)
