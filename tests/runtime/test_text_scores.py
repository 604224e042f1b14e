"""Scores of texts are those of the libraries that define them, for batches and for processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import sacrebleu
import torch
from torch import distributed, multiprocessing
from torchmetrics.functional.text import char_error_rate, rouge_score, word_error_rate

from mase.ir import MaseError
from mase.runtime.tasks.text_scores import TEXT_SCORES, CorpusScore

REFERENCES = [
    "The cat sat on the mat, and slept.",
    "Öffnen Sie die Datei «Übersicht» – jetzt!",
    "K AE T S",
    "a short one",
    "nothing of this is right",
]
TEXTS = [
    "The cat sat on a mat, and it slept.",
    "Öffnen Sie die Datei «Übersicht» bitte!",
    "K AH T Z",
    "",
    "quite another text, and longer",
]

ORACLES: dict[str, float] = {
    "bleu": sacrebleu.corpus_bleu(TEXTS, [REFERENCES]).score,
    "chrf": sacrebleu.corpus_chrf(TEXTS, [REFERENCES]).score,
    "chrf++": sacrebleu.corpus_chrf(TEXTS, [REFERENCES], word_order=2).score,
    "ter": sacrebleu.corpus_ter(TEXTS, [REFERENCES]).score,
    "rouge1": float(rouge_score(TEXTS, REFERENCES, rouge_keys="rouge1")["rouge1_fmeasure"]),
    "rouge2": float(rouge_score(TEXTS, REFERENCES, rouge_keys="rouge2")["rouge2_fmeasure"]),
    "rougeL": float(rouge_score(TEXTS, REFERENCES, rouge_keys="rougeL")["rougeL_fmeasure"]),
    "wer": float(word_error_rate(TEXTS, REFERENCES)),
    "per": float(word_error_rate(TEXTS, REFERENCES)),
    "cer": float(char_error_rate(TEXTS, REFERENCES)),
    "exact": 0.0,
}


def test_every_score_has_an_oracle() -> None:
    assert set(TEXT_SCORES) == set(ORACLES)


@pytest.mark.parametrize("name", ORACLES)
def test_a_score_over_batches_is_that_of_the_corpus(name: str) -> None:
    score = CorpusScore(name)
    for start in (0, 2, 3):  # batches of 2, 1 and 2
        end = {0: 2, 2: 3, 3: 5}[start]
        score.update(TEXTS[start:end], REFERENCES[start:end])
    assert float(score.compute()) == pytest.approx(ORACLES[name])
    score.reset()
    score.update(["a b c d e"], ["a b c d e"])
    best = {"bleu": 100, "chrf": 100, "chrf++": 100}.get(name, 1 if TEXT_SCORES[name].higher_is_better else 0)
    assert float(score.compute()) == pytest.approx(best)


def test_bleu_is_no_mean_over_batches() -> None:
    parts: list[float] = []
    for text, reference in zip(TEXTS, REFERENCES, strict=True):
        part = CorpusScore("bleu")
        part.update([text], [reference])
        parts.append(float(part.compute()))
    assert abs(sum(parts) / len(parts) - ORACLES["bleu"]) > 1


def test_text_that_would_separate_does_not() -> None:
    score = CorpusScore("exact")
    score.update(["a\0b", "c"], ["a\0b", "d"])
    assert float(score.compute()) == 0.5


def test_unlike_numbers_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        CorpusScore("bleu").update(["a"], ["a", "b"])


def test_unknown_scores_are_refused() -> None:
    with pytest.raises(MaseError, match="unknown score of texts 'blue'"):
        CorpusScore("blue")


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    share = (slice(0, 2), slice(2, 5))[rank]
    found: dict[str, float] = {}
    for name in ("bleu", "chrf", "wer"):
        score = CorpusScore(name)
        score.update(TEXTS[share], REFERENCES[share])
        found[name] = float(score.compute())
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_agree_on_the_score_of_all_texts(tmp_path: Path) -> None:
    multiprocessing.spawn(_process, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found == pytest.approx({name: ORACLES[name] for name in found})
