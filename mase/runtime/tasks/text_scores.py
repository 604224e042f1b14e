"""Scores of generated texts, as metrics that see the whole corpus, also one spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import text as functional

from mase.ir.diagnostics import MaseError
from mase.runtime.registry import Registry

__all__ = ["TEXT_SCORES", "CorpusScore", "TextScore", "register_text_score"]

Texts = Sequence[str]


@dataclass(frozen=True)
class TextScore:
    """How well texts match their references.

    Args:
        compute: from the texts and the references, one each, to the score.
        higher_is_better: whether more of it is better.
    """

    compute: Callable[[Texts, Texts], float]
    higher_is_better: bool = True


TEXT_SCORES: Registry[TextScore] = Registry("score of texts", group="mase.text_scores")
"""Every score that can be named; iterate over it for the names."""

register_text_score = TEXT_SCORES.register
"""Registers a `TextScore` under the name that users write."""


class CorpusScore(Metric):
    """A score over all the texts of a split, computed by the library that defines it.

    BLEU is no mean over samples, so the texts themselves are kept and, with several processes, gathered.

    Args:
        name: a name from `TEXT_SCORES`.

    Raises:
        MaseError: if no score has this name.

    Example:
        >>> bleu = CorpusScore("bleu")
        >>> bleu.update(["the cat sat on the mat"], ["the cat sat on a mat"])
        >>> round(float(bleu.compute()), 2)
        53.73
    """

    full_state_update = False
    texts: list[Tensor]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.score = TEXT_SCORES[name]
        # As bytes, because processes exchange tensors only.
        cast(Any, self).add_state("texts", default=[], dist_reduce_fx="cat")

    @property
    def higher_is_better(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether more of it is better."""
        return self.score.higher_is_better

    def update(self, prediction: Texts, target: Texts) -> None:
        """Takes texts and their references in, one each."""
        pairs = [text.replace("\0", " ") for pair in zip(prediction, target, strict=True) for text in pair]
        encoded = bytearray("".join(f"{text}\0" for text in pairs), "utf-8")
        self.texts.append(torch.frombuffer(encoded, dtype=torch.uint8).to(self.device))

    def compute(self) -> Tensor:
        """The score over all that was taken in."""
        # A list before processes are joined, one tensor afterwards.
        parts = cast("list[Tensor] | Tensor", self.texts)
        joined = parts if isinstance(parts, Tensor) else torch.cat(parts)
        texts = bytes(joined.cpu().numpy()).decode("utf-8").split("\0")[:-1]
        return torch.tensor(float(self.score.compute(texts[::2], texts[1::2])))


def _sacrebleu(name: str, **options: Any) -> Callable[[Texts, Texts], float]:
    def compute(texts: Texts, references: Texts) -> float:
        try:
            from sacrebleu import metrics
        except ImportError:
            raise MaseError.of(
                f"{name} needs the package sacrebleu, which is not installed", help="pip install 'mase[hf]'"
            ) from None
        scorer = getattr(metrics, name)(**options)
        return scorer.corpus_score(list(texts), [list(references)]).score

    return compute


def _rouge(key: str) -> Callable[[Texts, Texts], float]:
    def compute(texts: Texts, references: Texts) -> float:
        found = functional.rouge_score(list(texts), list(references), rouge_keys=key)
        return float(found[f"{key}_fmeasure"])

    return compute


def _word_errors(texts: Texts, references: Texts) -> float:
    return float(functional.word_error_rate(list(texts), list(references)))


def _character_errors(texts: Texts, references: Texts) -> float:
    return float(functional.char_error_rate(list(texts), list(references)))


def _exact(texts: Texts, references: Texts) -> float:
    return sum(map(str.__eq__, texts, references)) / len(references)


# Of sacrebleu, 0 to 100.
register_text_score("bleu")(TextScore(_sacrebleu("BLEU")))
register_text_score("chrf")(TextScore(_sacrebleu("CHRF")))
register_text_score("chrf++")(TextScore(_sacrebleu("CHRF", word_order=2)))
register_text_score("ter")(TextScore(_sacrebleu("TER"), higher_is_better=False))
# Of torchmetrics, F-measures from 0 to 1 and edits per unit of the reference.
register_text_score("rouge1")(TextScore(_rouge("rouge1")))
register_text_score("rouge2")(TextScore(_rouge("rouge2")))
register_text_score("rougeL")(TextScore(_rouge("rougeL")))
register_text_score("wer", "per")(TextScore(_word_errors, higher_is_better=False))
register_text_score("cer")(TextScore(_character_errors, higher_is_better=False))
register_text_score("exact")(TextScore(_exact))
