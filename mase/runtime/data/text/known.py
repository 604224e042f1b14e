"""What is known of data sets of the hub: their repositories, columns and splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KNOWN", "Known"]


@dataclass(frozen=True)
class Known:
    """A data set of the hub.

    Args:
        repository: where it lies.
        config: which of its configurations.
        task: what it is for, unless the user says.
        options: of its data set in mase.
    """

    repository: str
    config: str | None
    task: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _glue(
    config: str, text: str, pair: str | None = None, *, task: str = "text-classification", **splits: str
) -> Known:
    """A task of GLUE. Its test labels are held back, so its validation split is the test here."""
    options: dict[str, Any] = {"text": text, "splits": {"test": "validation", **splits}}
    return Known("nyu-mll/glue", config, task, options | ({"text_pair": pair} if pair else {}))


KNOWN: Mapping[str, Known] = {
    "glue/cola": _glue("cola", "sentence"),
    "glue/mnli": _glue("mnli", "premise", "hypothesis", test="validation_matched"),
    "glue/mrpc": _glue("mrpc", "sentence1", "sentence2"),
    "glue/qnli": _glue("qnli", "question", "sentence"),
    "glue/qqp": _glue("qqp", "question1", "question2"),
    "glue/rte": _glue("rte", "sentence1", "sentence2"),
    "glue/sst2": _glue("sst2", "sentence"),
    "glue/stsb": _glue("stsb", "sentence1", "sentence2", task="regression"),
    "glue/wnli": _glue("wnli", "sentence1", "sentence2"),
    "wikitext/wikitext-2-raw-v1": Known("Salesforce/wikitext", "wikitext-2-raw-v1", "causal-lm"),
    "wikitext/wikitext-103-raw-v1": Known("Salesforce/wikitext", "wikitext-103-raw-v1", "causal-lm"),
    "imdb": Known("stanfordnlp/imdb", None, "text-classification"),
    "ag_news": Known("fancyzhx/ag_news", None, "text-classification"),
}
"""By the name that users write after ``hf:``."""
