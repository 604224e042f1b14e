"""What generation on a lowered graph costs, against running all of the graph for each token.

    python benchmarks/generation.py

Prints seconds for a batch of 32 sources and 20 tokens, greedily and with 4 beams: the whole graph at each
token, the graph split at its decoder (`mase.runtime.generation`), transformers without and with its cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import BartConfig, BartForConditionalGeneration
from transformers.modeling_outputs import CausalLMOutput

import mase
from mase.runtime.generation import Decoder, generation_config

SAMPLES, LENGTH, TOKENS = 32, 24, 20
SIZES = {"layers": 2, "attention_heads": 4, "ffn_dim": 256}


class Whole(Decoder):
    """Runs the encoder again at each token."""

    def __init__(self, module: torch.fx.GraphModule, inputs: dict[str, Tensor], copies: int) -> None:
        super().__init__(module)
        self.run = lambda tokens: module(
            **{name: value.repeat_interleave(copies, 0) for name, value in inputs.items()},
            decoder_input_ids=tokens,
        )

    def forward(self, input_ids: Tensor, **_: object) -> CausalLMOutput:
        return CausalLMOutput(logits=self.run(input_ids).logits)


def seconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in SIZES.items()}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = BartConfig(
        vocab_size=100, d_model=128, max_position_embeddings=64, use_cache=False, **layers, **tokens
    )
    model = BartForConditionalGeneration(config).eval()
    ids = torch.randint(3, 100, (SAMPLES, LENGTH))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    start = torch.full((SAMPLES, 1), 2)
    names = {**{key: {0: "N", 1: "L"} for key in inputs}, "decoder_input_ids": {0: "N", 1: "M"}}
    module = mase.lower(
        mase.trace(model, kwargs={**inputs, "decoder_input_ids": ids[:, :TOKENS]}, dynamic=names)
    ).eval()
    print(f"{'beams':>5} {'whole':>8} {'split':>8} {'no cache':>8} {'cache':>8}")
    for beams in (1, 4):
        how = {"num_beams": beams, "max_new_tokens": TOKENS, "min_new_tokens": TOKENS}
        search = generation_config(how, pad_token_id=0, eos_token_id=2)
        whole, split = Whole(module, inputs, beams), Decoder(module)
        found = [
            seconds(lambda decoder=decoder, search=search: decoder.search(inputs, start, search))
            for decoder in (whole, split)
        ]
        found += [
            seconds(lambda cache=cache, how=how: model.generate(**inputs, **how, use_cache=cache))
            for cache in (False, True)
        ]
        print(f"{beams:5} " + " ".join(f"{value:8.2f}" for value in found))


if __name__ == "__main__":
    main()
