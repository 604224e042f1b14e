"""``hf:NAME-OR-DIRECTORY``: models of Hugging Face transformers.

A directory is what ``save_pretrained`` wrote, a name is a repository of the hub; the name of an
architecture (``bert``, ``llama``) builds that from ``config`` with random weights and needs no network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mase.frontends.recipe import Built, Recipe, register_source
from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["TASKS", "huggingface_source"]

TASKS = {
    "base": "AutoModel",
    "causal-lm": "AutoModelForCausalLM",
    "image-classification": "AutoModelForImageClassification",
    "masked-lm": "AutoModelForMaskedLM",
    "question-answering": "AutoModelForQuestionAnswering",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
}
"""What ``task`` may say, with the class of transformers that it means."""


@register_source("hf", options=("task", "config"))
def huggingface_source(recipe: Recipe) -> Built:
    """Build a model of transformers.

    Raises:
        MaseError: if transformers is absent, the task or a key of ``config`` is unknown, or the model cannot
            be read.
    """
    try:
        import transformers
    except ImportError as error:
        raise MaseError.of(
            f"[model] source: transformers does not load: {error}", help="pip install 'mase[hf]'"
        ) from None
    if recipe.args:
        raise MaseError.of("[model] args: hf: takes none", help="write them under config")
    task = recipe.options.get("task", "base")
    if task not in TASKS:
        raise MaseError.of(f"[model] task: unknown task {task!r}", help=did_you_mean(str(task), TASKS))
    auto: Any = getattr(transformers, TASKS[task])
    place = _place(recipe)
    config = _config(recipe, place)
    try:
        model = auto.from_pretrained(place, config=config) if recipe.pretrained else auto.from_config(config)
    except (OSError, ValueError) as error:
        raise _unreadable(recipe, error) from None
    return Built(model.float(), Path(recipe.target).name, _inputs(config, model), _source(recipe, place))


def _place(recipe: Recipe) -> str:
    """The directory that the source names, seen from the recipe or from here; else its name."""
    found = (p for p in (recipe.base_dir / recipe.target, Path(recipe.target)) if p.is_dir())
    return str(next(found, recipe.target))


def _source(recipe: Recipe, place: str) -> str:
    """The source as it is found from the working directory."""
    return f"hf:{place}" if Path(place).is_dir() else recipe.source


def _config(recipe: Recipe, place: str) -> Any:
    from transformers import CONFIG_MAPPING, AutoConfig

    overrides: dict[str, Any] = dict(recipe.options.get("config", {}))
    architectures: Any = CONFIG_MAPPING
    auto: Any = AutoConfig
    try:
        if place in architectures.keys():  # noqa: SIM118 (a lazy mapping)
            if recipe.pretrained:
                raise MaseError.of(
                    f"[model] pretrained: {place!r} is an architecture and has no weights",
                    help="name a directory or a repository of the hub",
                )
            config = auto.for_model(place)
        else:
            config = auto.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise _unreadable(recipe, error) from None
    for key, value in overrides.items():
        if not hasattr(config, key):
            raise MaseError.of(
                f"[model] config: {type(config).__name__} has no {key!r}",
                help=did_you_mean(key, config.to_dict()),
            )
        setattr(config, key, value)
    if "use_cache" not in overrides:
        config.use_cache = False  # a cache is for generation; a graph is run on whole sequences
    return config


def _unreadable(recipe: Recipe, error: Exception) -> MaseError:
    first = str(error).strip().splitlines()[0]
    return MaseError.of(
        f"[model] source: {recipe.source} cannot be read: {first}",
        help="name a directory that save_pretrained wrote, a repository of the hub (this needs the "
        "network), or an architecture such as hf:bert",
    )


def _inputs(config: Any, model: Any) -> dict[str, str]:
    """The types of the example inputs, by what the model mainly takes."""
    if model.main_input_name == "pixel_values":
        size: Any = getattr(config, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else size
        return {"pixel_values": f"f32[N,{getattr(config, 'num_channels', 3)},{height},{width}]"}
    if model.main_input_name != "input_ids":
        return {}
    types = {"input_ids": "i64[N,L]", "attention_mask": "i64[N,L]"}
    return types | ({"decoder_input_ids": "i64[N,M]"} if config.is_encoder_decoder else {})
