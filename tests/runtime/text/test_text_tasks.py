"""Tasks of texts: losses as transformers computes them itself, metrics as scikit-learn does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn import metrics
from torch import Tensor
from torchmetrics.text import Perplexity

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.tasks import make_task
from mase.runtime.tasks.entities import entities
from mase.runtime.trainer import TrainConfig, evaluate, fit
from tests.runtime.text.tiny import bert, llama, sentences, tokenizer, write_csv

HEADER = ("text", "label")
Make = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Make:
    """Makes the data set of a task."""

    def make(task: str, tags: Sequence[Any] = range(3), **options: Any) -> Any:
        said = sentences(30)
        if task == "text-classification":
            source = f"csv:{write_csv(tmp_path / 'reviews.csv', list(said), HEADER)}"
        elif task == "token-classification":
            rows = [
                {"tokens": text.split(), "tags": [tags[len(w) % 3] for w in text.split()]} for text, _ in said
            ]
            (tmp_path / "words.json").write_text("\n".join(map(json.dumps, rows)))
            source = f"json:{tmp_path / 'words.json'}"
        else:
            (tmp_path / "plain.txt").write_text(" ".join(text for text, _ in said))
            source = f"text:{tmp_path / 'plain.txt'}"
            options = {"max_token_len": 16, "shares": {"test": 0.3}, **options}
        settings = {"batch_size": 3, "cache_dir": str(tmp_path / "cache"), **options}
        return make_data(source, task=task, tokenizer=tokenizer(), **settings)

    return make


def outputs(model: Any, data: Any, *, keep: bool = True) -> tuple[Tensor, Tensor, float]:
    """Predictions and labels of what counts in the test split, and the mean of transformers' own losses."""
    found: list[tuple[Tensor, Tensor]] = []
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in data.test_dataloader():
            made = model(**batch)
            labels = batch["labels"]
            shift = labels[:, 1:] if not keep else labels
            size = int((shift != -100).sum())
            total, count = total + float(made.loss) * size, count + size
            counted = labels != -100
            found.append((made.logits.argmax(-1)[counted], labels[counted]))
    predicted, true = (torch.cat(parts) for parts in zip(*found, strict=True))
    return predicted, true, total / count


def test_text_classification(data: Make) -> None:
    model, texts = (
        bert("SequenceClassification", seed=6, num_labels=2),
        data("text-classification", shares={"test": 0.5}),
    )
    measured = evaluate(model, texts, "test", "text-classification")
    predicted, true, loss = outputs(model, texts)
    assert len(set(predicted.tolist())) == 2
    assert measured["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert measured["test/accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    assert measured["test/f1"] == pytest.approx(metrics.f1_score(true, predicted))
    assert measured["test/matthews"] == pytest.approx(metrics.matthews_corrcoef(true, predicted))


def test_token_classification(data: Make) -> None:
    model, texts = bert("TokenClassification", num_labels=3), data("token-classification")
    measured = evaluate(model, texts, "test", "token-classification")
    predicted, true, loss = outputs(model, texts)
    assert measured["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert measured["test/accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    assert measured["test/f1"] == pytest.approx(metrics.f1_score(true, predicted, average="macro"))


def test_names_are_found_as_a_whole(data: Make) -> None:
    tags = ["O", "B-X", "I-X"]
    model, texts = bert("TokenClassification", num_labels=3), data("token-classification", tags=tags)
    assert texts.classes == ("B-X", "I-X", "O")
    measured = evaluate(model, texts, "test", "token-classification")
    right = found = wanted = 0
    with torch.no_grad():
        for batch in texts.test_dataloader():
            for row, labels in zip(model(**batch).logits.argmax(-1), batch["labels"], strict=True):
                ours, theirs = (
                    entities([texts.classes[label] for label in each[labels != -100]])
                    for each in (row, labels)
                )
                right, found, wanted = right + len(ours & theirs), found + len(ours), wanted + len(theirs)
    assert measured["test/entity_f1"] == pytest.approx(2 * right / (found + wanted))
    task = make_task("token-classification", model, TrainConfig(), texts)
    assert task.monitored == ("val/entity_f1", True)
    chosen = make_task("token-classification", model, TrainConfig(monitor="val/loss"), texts)
    assert chosen.monitored == ("val/loss", False)


def test_causal_lm(data: Make) -> None:
    model, texts = llama(), data("causal-lm")
    measured = evaluate(model, texts, "test", "causal-lm")
    _, _, loss = outputs(model, texts, keep=False)
    assert measured["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert measured["test/perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    oracle: Any = Perplexity(ignore_index=-100)
    with torch.no_grad():
        for batch in texts.test_dataloader():
            oracle.update(model(batch["input_ids"]).logits[:, :-1], batch["labels"][:, 1:])
    assert measured["test/perplexity"] == pytest.approx(float(oracle.compute()), rel=1e-4)


def test_perplexity_does_not_depend_on_batches(data: Make) -> None:
    model = llama()
    found = [evaluate(model, data("causal-lm", batch_size=size), "test", "causal-lm") for size in (1, 5)]
    assert found[0]["test/perplexity"] == pytest.approx(found[1]["test/perplexity"], rel=1e-5)


def test_strided_windows_are_as_transformers_documents_them(data: Make) -> None:
    """The loop of its page "Perplexity of fixed-length models", token by token."""
    model, texts = llama(), data("causal-lm", stride=4)
    tokens = torch.as_tensor(texts.rows["test"]).long()[None]
    total, count, before = 0.0, 0, 0
    for start in range(0, tokens.shape[1], 4):
        end = min(start + 16, tokens.shape[1])
        ids = tokens[:, start:end]
        labels = ids.clone()
        labels[:, : -(end - before)] = -100
        size = int((labels[:, 1:] != -100).sum())
        with torch.no_grad():
            total += float(model(ids, labels=labels).loss) * size
        count, before = count + size, end
        if end == tokens.shape[1]:
            break
    assert count == tokens.shape[1] - 1
    measured = evaluate(model, texts, "test", "causal-lm")
    assert measured["test/perplexity"] == pytest.approx(math.exp(total / count), rel=1e-5)


def test_masked_lm(data: Make) -> None:
    model, texts = bert("MaskedLM"), data("masked-lm", mask_share=0.3)
    measured = evaluate(model, texts, "test", "masked-lm")
    _, _, loss = outputs(model, texts)
    assert measured["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert measured["test/perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)


def test_masks_change_with_the_epoch_in_training_and_never_in_evaluation(data: Make) -> None:
    def labels(loader: Any, epoch: int = 0) -> dict[tuple[int, ...], tuple[int, ...]]:
        if epoch:
            loader.sampler.set_epoch(epoch)
        found: dict[tuple[int, ...], tuple[int, ...]] = {}
        for batch in loader:
            for ids, row in zip(batch["input_ids"], batch["labels"], strict=True):
                text = torch.where(row == -100, ids, row)
                found[tuple(text.tolist())] = tuple(row.tolist())
        return found

    one, other = data("masked-lm"), data("masked-lm", seed=7, num_workers=1)
    assert labels(one.test_dataloader()) == labels(other.test_dataloader())
    first, second = labels(one.train_dataloader()), labels(one.train_dataloader(), 1)
    assert first.keys() == second.keys()
    assert first != second
    assert first == labels(data("masked-lm", num_workers=1).train_dataloader())
    assert first != labels(other.train_dataloader())


def test_masks_hide_the_share_that_they_should(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("good " * 40_000)
    texts = make_data(
        f"text:{tmp_path / 'plain.txt'}", task="masked-lm", tokenizer=tokenizer(), batch_size=2000
    )
    batch = texts.example_batch()
    chosen, good, mask = batch["labels"] != -100, tokenizer()("good")["input_ids"][1], 4
    inner = batch["input_ids"][:, 1:-1].numel()
    seen = batch["input_ids"][chosen]
    assert int(chosen.sum()) / inner == pytest.approx(0.15, abs=0.01)
    assert float((seen == mask).float().mean()) == pytest.approx(0.8 + 0.1 / 23, abs=0.02)
    assert float((seen == good).float().mean()) == pytest.approx(0.1 + 0.1 / 23, abs=0.02)
    assert set(batch["labels"][chosen].tolist()) == {good}
    assert not bool(chosen[:, [0, -1]].any())


MODELS: dict[str, Callable[[], Any]] = {
    "text-classification": lambda: bert("SequenceClassification", num_labels=2),
    "token-classification": lambda: bert("TokenClassification", num_labels=3),
    "causal-lm": llama,
    "masked-lm": lambda: bert("MaskedLM"),
}


@pytest.mark.parametrize("task", list(MODELS))
def test_training_lowers_the_loss(task: str, data: Make, tmp_path: Path) -> None:
    model, texts = MODELS[task](), data(task)
    before = evaluate(model, texts, "train", task)["train/loss"]
    config = TrainConfig(max_epochs=3, learning_rate=1e-2, report_to="none", progress=False)
    after = fit(model, texts, config, tmp_path / "run", task)
    assert after["train/loss"] < before


@pytest.mark.parametrize("task", ["causal-lm", "masked-lm", "token-classification"])
def test_a_model_without_a_head_for_tokens(task: str, data: Make) -> None:
    with pytest.raises(MaseError, match="give it a head for tokens"):
        evaluate(bert("SequenceClassification", num_labels=2), data(task), "test", task)


def test_a_model_with_too_few_outputs(data: Make) -> None:
    with pytest.raises(MaseError, match="has 2 outputs for a token, but a label of the data is 2"):
        evaluate(
            bert("TokenClassification", num_labels=2),
            data("token-classification"),
            "test",
            "token-classification",
        )
