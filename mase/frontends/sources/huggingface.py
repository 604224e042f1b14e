"""``hf:NAME-OR-DIRECTORY``: models of Hugging Face transformers.

A directory is what ``save_pretrained`` wrote, a name is a repository of the hub, both may end in the name of
a GGUF file; the name of an architecture (``bert``, ``llama``) builds that from ``config`` with random weights
and needs no network.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
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
    "seq2seq": "AutoModelForSeq2SeqLM",
    "regression": "AutoModelForSequenceClassification",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "summarization": "AutoModelForSeq2SeqLM",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "translation": "AutoModelForSeq2SeqLM",
    "sequence-classification": "AutoModelForSequenceClassification",
}
"""What ``task`` may say, with the class of transformers that it means."""

_IMAGES = "AutoModelForImageClassification"
_LABELLED = (_IMAGES, "AutoModelForSequenceClassification", "AutoModelForTokenClassification")
"""Heads with an output for each class of the data."""


@register_source("hf", options=("task", "config"))
def huggingface_source(recipe: Recipe) -> Built:
    """Build a model of transformers.

    Its head is that of ``task``, by default of the data set's task; it has as many labels as the data have
    classes unless ``config`` says ``num_labels``.

    Raises:
        MaseError: if transformers is absent, the task or a key of ``config`` is unknown, or the model cannot
            be read.
    """
    try:
        import transformers
        from torch import nn

        from mase.frontends.sources.conv1d import with_linear_layers
    except ImportError as error:
        raise MaseError.of(
            f"[model] source: transformers does not load: {error}", help="pip install 'mase[hf]'"
        ) from None
    if recipe.args:
        raise MaseError.of("[model] args: hf: takes none", help="write them under config")
    place = _Place.of(recipe)
    config, found = _config(recipe, place)
    task, head = _head(recipe, config)
    given: dict[str, Any] = dict(recipe.options.get("config", {}))
    settled = _settled(recipe, config, place, head, given)
    _override(config, given | settled)
    auto: Any = getattr(transformers, head)
    try:
        if recipe.pretrained:
            _no_bars(transformers)
            # A head for other classes than the checkpoint's starts at random.
            new_head = "num_labels" in settled and settled["num_labels"] != found
            model = auto.from_pretrained(
                place.name, config=config, ignore_mismatched_sizes=new_head, **place.options
            )
        else:
            model = auto.from_config(config)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise _unreadable(recipe, error) from None
    kept: dict[str, Any] = {"config": given | settled} if settled else {}
    if recipe.data is not None:
        kept["task"] = task
    name = Path(recipe.target).stem if place.options else Path(recipe.target).name
    # Not its own `float`, which refuses what was dequantized from a GGUF file.
    return Built(with_linear_layers(nn.Module.float(model)), name, _inputs(config, model), place.source, kept)


def _no_bars(library: Any) -> None:
    """No progress bars of the library where nobody watches."""
    if not sys.stderr.isatty():
        library.utils.logging.disable_progress_bar()


@dataclass(frozen=True)
class _Place:
    """Where the files of a model lie.

    Args:
        name: a directory, a repository of the hub or an architecture.
        options: further arguments of ``from_pretrained``: the GGUF file.
        source: the source as it is found from the working directory.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict[str, str])
    source: str = ""

    @classmethod
    def of(cls, recipe: Recipe) -> _Place:
        beside = recipe.base_dir / recipe.target
        found = str(beside) if beside.exists() else recipe.target
        if Path(found).suffix == ".gguf":
            return cls(str(Path(found).parent), {"gguf_file": Path(found).name}, f"hf:{found}")
        return cls(found, {}, f"hf:{found}")


def _config(recipe: Recipe, place: _Place) -> tuple[Any, int | None]:
    """The model's configuration, and how many labels the checkpoint has."""
    from transformers import AutoConfig

    auto: Any = AutoConfig
    try:
        if _is_architecture(place.name):
            if recipe.pretrained:
                raise MaseError.of(
                    f"[model] pretrained: {place.name!r} is an architecture and has no weights",
                    help="name a directory or a repository of the hub",
                )
            return auto.for_model(place.name), None
        config = auto.from_pretrained(place.name, **place.options)
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(recipe, error) from None
    return config, getattr(config, "num_labels", None)


def _is_architecture(name: str) -> bool:
    from transformers import CONFIG_MAPPING

    architectures: Any = CONFIG_MAPPING
    return name in architectures.keys() and not Path(name).is_dir()  # noqa: SIM118 (a lazy mapping)


def _head(recipe: Recipe, config: Any) -> tuple[str, str]:
    """The task and the class of transformers for it."""
    asked = recipe.options.get("task")
    task = asked or getattr(recipe.data, "task", None) or "base"
    if task == "classification":  # of images or of texts, as the model takes them
        from transformers import AutoModelForImageClassification

        images: Any = AutoModelForImageClassification
        task = "image-classification" if type(config) in images._model_mapping else "text-classification"
    if task not in TASKS:
        if asked is None:
            return "base", TASKS["base"]
        raise MaseError.of(f"[model] task: unknown task {task!r}", help=did_you_mean(str(task), TASKS))
    return task, TASKS[task]


def _settled(recipe: Recipe, config: Any, place: _Place, head: str, given: dict[str, Any]) -> dict[str, Any]:
    """Keys of the configuration that the data set decides."""
    found: dict[str, Any] = {}
    if recipe.data is None:
        return found
    if head in _LABELLED and not given.keys() & {"num_labels", "id2label", "label2id"}:
        classes = getattr(recipe.data, "num_classes", None)
        if isinstance(classes, int):
            found["num_labels"] = classes
    if _is_architecture(place.name):
        tokens = {key: value for key, value in _tokens(recipe.data).items() if key not in given}
        found |= {key: value for key, value in tokens.items() if value is not None and hasattr(config, key)}
    return found


def _tokens(data: Any) -> dict[str, Any]:
    """What a data set's tokenizer decides of a new model: among others the embedding that stays zero."""
    tokenizer = getattr(data, "tokenizer", None)
    if tokenizer is None:
        return {}
    special = ("pad_token_id", "bos_token_id", "eos_token_id")
    return {
        "vocab_size": len(tokenizer),
        **{key: getattr(tokenizer, key, None) for key in special},
        "decoder_start_token_id": getattr(data, "decoder_start_token_id", None),
    }


def _override(config: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if not hasattr(config, key):
            raise MaseError.of(
                f"[model] config: {type(config).__name__} has no {key!r}",
                help=did_you_mean(key, config.to_dict()),
            )
        setattr(config, key, value)
    if "use_cache" not in values:
        config.use_cache = False  # a cache is for generation; a graph is run on whole sequences


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
