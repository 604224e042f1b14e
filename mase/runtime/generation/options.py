"""How sequences are searched for: the options of transformers' ``generate``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["generation_config"]

# A lowered graph has no cache of keys and values, and `Decoder` returns the sequences alone.
_OURS = frozenset({"use_cache", "return_dict_in_generate", "output_scores", "output_logits"})


def generation_config(options: Mapping[str, Any], **defaults: Any) -> GenerationConfig:
    """The configuration of a search.

    Args:
        options: by the names of `transformers.GenerationConfig`: ``num_beams``, ``max_new_tokens``,
            ``length_penalty``, ``early_stopping``, ``no_repeat_ngram_size``, ...
        defaults: the same, where ``options`` say nothing; None says nothing either.

    Raises:
        MaseError: if there is no such option or its value cannot be meant.

    Example:
        >>> generation_config({"num_beams": 4}, eos_token_id=2).num_beams
        4
        >>> generation_config({"num_beam": 4})
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown generation option 'num_beam'
          help: did you mean 'num_beams'?
    """
    known = {key for key in vars(GenerationConfig()) if not key.startswith("_")} - _OURS
    for key in options:
        if key not in known:
            raise MaseError.of(f"unknown generation option {key!r}", help=did_you_mean(key, known))
    settings = {key: value for key, value in defaults.items() if value is not None} | dict(options)
    try:
        config = GenerationConfig(**settings, use_cache=False)
        config.validate(strict=True)
    except (ValueError, TypeError) as error:
        raise MaseError.of(f"generation: {error}", help="see transformers' GenerationConfig") from None
    return config
