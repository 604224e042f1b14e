"""``hf:``, ``csv:``, ``json:``, ``parquet:`` and ``text:``: texts of the hub, or of one's own files."""

from __future__ import annotations

from typing import Any, Literal

from mase.ir.diagnostics import MaseError
from mase.runtime.data import check_options, options_of, register_data
from mase.runtime.data.text import TEXT_TASKS
from mase.runtime.data.text.base import TextData
from mase.runtime.data.text.corpus import Corpus
from mase.runtime.data.text.known import KNOWN

__all__ = ["csv", "hf", "json", "parquet", "text"]


@register_data("hf")
def hf(
    name: str,
    /,
    *,
    task: str | None = None,
    tokenizer: Any = None,
    config: str | None = None,
    revision: str | None = None,
    cache_dir: str | None = None,
    **options: Any,
) -> TextData:
    """A data set of the Hugging Face hub, or a folder of one; for GLUE write ``hf:glue/sst2``.

    Args:
        name: a repository, a folder that ``save_to_disk`` wrote or that holds data files, or a known name.
        task: what it is read for; by default what the ``hf:`` model is for, or what is known.
        tokenizer: a folder or a repository; by default that of the ``hf:`` model.
        config: which of its configurations.
        revision: which version of it.
        cache_dir: where the library keeps it.
        options: those of the task's data set.
    """
    known = KNOWN.get(name)
    if known is None:
        corpus = Corpus("hf", name, config, revision, cache_dir)
        return _texts(corpus, task, tokenizer, options)
    if config is not None:
        raise MaseError.of(f"data set hf:{name} has its configuration in its name", help="leave config out")
    corpus = Corpus("hf", known.repository, known.config, revision, cache_dir)
    fits = task is None or TEXT_TASKS[task] is TEXT_TASKS[known.task]
    return _texts(corpus, task or known.task, tokenizer, {**(known.options if fits else {}), **options})


@register_data("csv")
def csv(
    files: str,
    /,
    *,
    task: str | None = None,
    tokenizer: Any = None,
    cache_dir: str | None = None,
    **options: Any,
) -> TextData:
    """Texts in csv or tsv files: one file, or a folder of ``train``, ``validation`` and ``test``."""
    return _texts(Corpus("csv", files, cache_dir=cache_dir), task, tokenizer, options)


@register_data("json")
def json(
    files: str,
    /,
    *,
    task: str | None = None,
    tokenizer: Any = None,
    cache_dir: str | None = None,
    **options: Any,
) -> TextData:
    """Texts in json files, an object a line: one file, or a folder of one for each split."""
    return _texts(Corpus("json", files, cache_dir=cache_dir), task, tokenizer, options)


@register_data("parquet")
def parquet(
    files: str,
    /,
    *,
    task: str | None = None,
    tokenizer: Any = None,
    cache_dir: str | None = None,
    **options: Any,
) -> TextData:
    """Texts in parquet files: one file, or a folder of one for each split."""
    return _texts(Corpus("parquet", files, cache_dir=cache_dir), task, tokenizer, options)


@register_data("text")
def text(
    files: str,
    /,
    *,
    task: str | None = None,
    tokenizer: Any = None,
    cache_dir: str | None = None,
    sample_by: Literal["document", "paragraph", "line"] = "document",
    **options: Any,
) -> TextData:
    """Plain text for language models: one ``.txt`` file, or a folder of them.

    Args:
        files: the file or folder.
        task: ``causal-lm`` by default, or ``masked-lm``.
        tokenizer: a folder or a repository; by default that of the ``hf:`` model.
        cache_dir: where the library keeps what it read.
        sample_by: what a row is, and so what is tokenized as one piece; a line keeps its end.
        options: those of the task's data set.
    """
    how = {"sample_by": sample_by, "keep_linebreaks": True}
    return _texts(
        Corpus("text", files, cache_dir=cache_dir, options=how), task or "causal-lm", tokenizer, options
    )


def _texts(corpus: Corpus, task: str | None, tokenizer: Any, options: dict[str, Any]) -> TextData:
    source = f"{corpus.kind}:{corpus.target}"
    if task is None:
        raise MaseError.of(
            f"data set {source!r} does not say what its texts are for",
            help=f'write task = "..." under [data] or [model]; there are {", ".join(TEXT_TASKS)}',
        )
    factory = TEXT_TASKS[task]
    check_options(source, options, options_of(factory))
    return factory(corpus, tokenizer=tokenizer, **options)
