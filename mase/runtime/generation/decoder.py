"""`Decoder`: a lowered encoder-decoder as a model that transformers' ``generate`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from mase.ir.diagnostics import MaseError
from mase.runtime.generation.split import split_at
from mase.runtime.tasks.outputs import logits_of

__all__ = ["Decoder"]


class Decoder(PreTrainedModel, GenerationMixin):
    """Generates target sequences with a lowered encoder-decoder, greedily, by beams or by sampling.

    What depends on the source alone is computed once for a batch; at each token the decoder runs on the
    prefix. To ``generate`` this looks like a language model of target tokens: the source is a constant, and
    beams that belong to one source need no reordering of it.

    Args:
        module: a lowered graph that takes ``decoder_input_ids``; weights and modes are shared with it, so
            make a new decoder after the module was moved to another device.

    Raises:
        MaseError: if the module takes no ``decoder_input_ids``.

    Example:
        >>> from mase.runtime.generation import generation_config
        >>> class Copier(torch.nn.Module):  # repeats its source, token by token
        ...     def forward(self, input_ids, decoder_input_ids):
        ...         return torch.nn.functional.one_hot(input_ids, 8)[:, : decoder_input_ids.shape[1]] * 9.0
        >>> decoder = Decoder(fx.symbolic_trace(Copier()).eval())
        >>> start = torch.zeros(2, 1, dtype=torch.int64)
        >>> sources = torch.tensor([[3, 4, 5, 1], [7, 1, 0, 0]])
        >>> search = generation_config({"max_new_tokens": 4}, pad_token_id=0, eos_token_id=1)
        >>> decoder.search({"input_ids": sources}, start, search)
        tensor([[0, 3, 4, 5, 1],
                [0, 7, 1, 0, 0]])
    """

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, module: fx.GraphModule) -> None:
        cast(Any, super()).__init__(PretrainedConfig())
        halves = split_at(module, "decoder_input_ids")
        self.once, self.each = halves.once, halves.each
        self.train(module.training)
        self.arguments = [str(node.target) for node in halves.once.graph.nodes if node.op == "placeholder"]
        self._known: tuple[Any, ...] = ()

    def search(self, inputs: Mapping[str, Tensor], start: Tensor, config: GenerationConfig) -> Tensor:
        """The best sequence found for each source.

        Args:
            inputs: what the encoder takes, by name, each of shape (samples, ...).
            start: what each target begins with, shape (samples, tokens): usually one start token.
            config: how to search.

        Returns:
            Token ids of shape (samples, length), ``start`` included, padded after the end.

        Raises:
            MaseError: if an input is missing.
        """
        if missing := [name for name in self.arguments if name not in inputs]:
            raise MaseError.of(
                f"generation needs {', '.join(missing)}, which the batch lacks",
                help=f"the batch has {', '.join(inputs)}",
            )
        how = cast(Any, config)
        copies = max(how.num_beams or 1, how.num_return_sequences or 1)
        with torch.no_grad():
            self._known = self.once(
                **{name: inputs[name].repeat_interleave(copies, 0) for name in self.arguments}
            )
            try:
                return cast(Any, self).generate(
                    input_ids=start, attention_mask=torch.ones_like(start), generation_config=config
                )
            finally:
                self._known = ()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> CausalLMOutput:
        """The logits of the next tokens after target prefixes, shape (samples, length, tokens)."""
        return CausalLMOutput(logits=cast(Any, logits_of(self.each(input_ids, self._known))))

    @property
    def device(self) -> torch.device:
        """Where it runs, also without parameters."""
        return next((tensor.device for tensor in (*self.parameters(), *self.buffers())), torch.device("cpu"))
