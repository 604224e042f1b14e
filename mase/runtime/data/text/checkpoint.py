"""What a model of transformers says about its decoder: its ``[model]`` table, and the files that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

__all__ = ["decoder_start", "search_settings"]

# Names of tokens and lengths, which come from the data, and facts about the file itself.
_NOT_OF_THE_SEARCH = frozenset(
    {
        *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"),
        *("max_length", "max_new_tokens", "transformers_version", "use_cache"),
    }
)


def decoder_start(model: Mapping[str, Any], place: Callable[[str], Path]) -> int | None:
    """The token that a model's decoder starts with; None if nothing tells.

    Args:
        model: the ``[model]`` table.
        place: finds a file or folder of a name.

    Example:
        >>> decoder_start({"source": "hf:bart", "config": {"decoder_start_token_id": 2}}, Path)
        2
    """
    from transformers import AutoConfig

    said = dict(model.get("config", {})).get("decoder_start_token_id")
    if said is not None:
        return said
    config = _read(AutoConfig, model, place)
    found: Any = None if config is None else getattr(config, "decoder_start_token_id", None)
    return found if isinstance(found, int) else None


def search_settings(model: Mapping[str, Any], place: Callable[[str], Path]) -> dict[str, Any]:
    """The settings of generation that a model's authors chose, by transformers' names for them.

    Args:
        model: the ``[model]`` table.
        place: finds a file or folder of a name.

    Example:
        >>> search_settings({"source": "hf:bart"}, Path)  # an architecture has no files
        {}
    """
    from transformers import GenerationConfig

    config = _read(GenerationConfig, model, place)
    settings: dict[str, Any] = {} if config is None else config.to_diff_dict()
    return {
        key: value
        for key, value in settings.items()
        if key not in _NOT_OF_THE_SEARCH and not key.startswith("_") and value is not None
    }


def _read(kind: Any, model: Mapping[str, Any], place: Callable[[str], Path]) -> Any:
    from transformers import CONFIG_MAPPING

    source, _, name = str(model.get("source", "")).partition(":")
    if source != "hf" or name in cast(Any, CONFIG_MAPPING).keys():  # noqa: SIM118 (a lazy mapping)
        return None
    path = place(name)
    try:
        return kind.from_pretrained(str(path) if path.exists() else name)
    except (OSError, ValueError):  # no such file there
        return None
