"""The task of sequences: transformers' own loss and tokens, sacrebleu's own scores."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from torch import nn
from torchmetrics.functional.text import word_error_rate

import mase
from mase.ir import MaseError
from mase.runtime.generation import Decoder, generation_config
from mase.runtime.tasks import make_task
from mase.runtime.trainer import TrainConfig, evaluate, fit
from tests.runtime.encoder_decoders import NAMES, captured, model
from tests.runtime.pairs import WORDS, pairs, write_pairs

QUANTIZE = 'quantize{default={data_in="int<8>", weight="int<8,channel=0>"}}'


def lowered(name: str = "bart") -> Any:
    return mase.lower(captured(name))


def starting(name: str) -> dict[str, int]:
    return {"decoder_start_token_id": model(name).config.decoder_start_token_id}


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_and_its_gradient_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    data, source = pairs(tmp_path / "set", **starting(name)), model(name)
    task = make_task("seq2seq", lowered(name), TrainConfig(), data).eval()
    batch = data.example_batch()
    step = task.step(batch)
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    theirs = source(**inputs).loss
    torch.testing.assert_close(step.loss, theirs)
    assert step.weight == int((batch["labels"] != -100).sum())
    step.loss.backward()
    theirs.backward()
    trained = {key: p.grad for key, p in task.model.named_parameters() if p.grad is not None}
    assert len(trained) > 20
    for key, gradient in trained.items():
        torch.testing.assert_close(gradient, source.get_parameter(key).grad, msg=key)
    source.zero_grad()


def test_labels_are_smoothed_in_training_alone(tmp_path: Path) -> None:
    data = pairs(tmp_path / "set")
    task = make_task("seq2seq", lowered("t5"), TrainConfig(label_smoothing=0.2), data)
    batch = data.example_batch()
    logits = task.eval().call({key: value for key, value in batch.items() if key != "references"}).logits
    arguments = logits.flatten(0, 1), batch["labels"].flatten()
    plain = nn.functional.cross_entropy(*arguments)
    torch.testing.assert_close(task.step(batch).loss, plain)
    task.training = True  # the model itself stays as it is, without dropout
    smoothed = nn.functional.cross_entropy(*arguments, label_smoothing=0.2)
    torch.testing.assert_close(task.step(batch).loss, smoothed)
    assert not torch.isclose(plain, smoothed)


@pytest.mark.parametrize(("name", "search"), [("bart", {}), ("t5", {"num_beams": 3})])
def test_scores_are_those_of_what_transformers_generates(
    tmp_path: Path, name: str, search: dict[str, Any]
) -> None:
    scores = ["bleu", "chrf", "wer"]
    data = pairs(tmp_path / "set", **starting(name), metrics=scores, generation=search)
    found = evaluate(lowered(name), data, task="translation")
    texts: list[str] = []
    for batch in data.test_dataloader():
        inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
        tokens = model(name).generate(**inputs, **search, max_new_tokens=12, use_cache=False)
        texts += data.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    references = [" ".join(word.upper()) for word in WORDS]
    assert len(set(texts)) > 3, "the sources have to matter"
    assert found["test/bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, [references]).score)
    assert found["test/chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)
    assert found["test/wer"] == pytest.approx(float(word_error_rate(texts, references)))


def test_the_loss_is_the_mean_over_all_tokens(tmp_path: Path) -> None:
    data = pairs(tmp_path / "set", batch_size=5)
    found = evaluate(lowered("t5"), data, task="seq2seq")
    whole = pairs(tmp_path / "set", batch_size=len(WORDS))
    task = make_task("seq2seq", lowered("t5"), TrainConfig(), whole).eval()
    batch = whole.example_batch()
    step = task.step(batch)
    assert found["test/loss"] == pytest.approx(float(step.loss), rel=1e-5)
    right = step.prediction["token_accuracy"] == batch["labels"]
    assert found["test/token_accuracy"] == pytest.approx(float(right.sum() / step.weight))


@pytest.mark.parametrize(
    ("generate", "generating"),
    [(False, set()), ("test", {"test"}), (["val"], {"val"}), (True, {"test", "val"})],
)
def test_only_the_splits_that_are_told_to_generate(
    tmp_path: Path, generate: Any, generating: set[str]
) -> None:
    data = pairs(tmp_path / "set", generate=generate, batch_size=12)
    for split in ("train", "val", "test"):
        found = evaluate(lowered("t5"), data, split, task="summarization")  # type: ignore[arg-type]
        assert {f"{split}/loss", f"{split}/token_accuracy"} <= set(found)
        assert (f"{split}/rougeL" in found) == (split in generating)


def test_a_quantized_graph_generates(tmp_path: Path) -> None:
    graph = captured("bart").copy()
    data = pairs(tmp_path / "set", **starting("bart"), metrics=["chrf"], generation={"num_beams": 2})
    mase.Pipeline(QUANTIZE).run(graph, data=data)
    exact = evaluate(lowered("bart"), data, task="seq2seq")
    found = evaluate(mase.lower(graph), data, task="seq2seq")
    assert found["test/loss"] != exact["test/loss"]
    assert found["test/loss"] == pytest.approx(exact["test/loss"], rel=0.1)
    assert found["test/chrf"] == pytest.approx(exact["test/chrf"], abs=10)


def test_a_quantized_translator_is_scored_by_what_it_writes(tmp_path: Path) -> None:
    rows = [{"translation": {"en": word, "fr": " ".join(word.upper())}} for word in WORDS]
    folder = write_pairs(tmp_path / "set", rows, splits=("train", "validation", "test"))
    data = pairs(folder, task="translation", text="en", target="fr", **starting("t5"))
    graph = captured("t5").copy()
    mase.Pipeline(QUANTIZE).run(graph, data=data)
    module = mase.lower(graph).eval()
    exact, found = (evaluate(net, data, task="translation") for net in (lowered("t5"), module))
    assert found["test/loss"] != exact["test/loss"]
    assert found["test/loss"] == pytest.approx(exact["test/loss"], rel=0.1)
    search = generation_config({"max_new_tokens": 12}, pad_token_id=0, eos_token_id=2)
    texts: list[str] = []
    for batch in data.test_dataloader():
        source = {key: batch[key] for key in ("input_ids", "attention_mask")}
        start = torch.zeros(len(batch["labels"]), 1, dtype=torch.int64)
        tokens = Decoder(module).search(source, start, search)
        texts += data.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    references = [row["translation"]["fr"] for row in rows]
    assert found["test/bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, [references]).score)
    assert found["test/chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)
    assert found["test/chrf"] > 0


def test_a_plain_module_is_told_that_it_cannot_generate(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="only a lowered graph generates"):
        evaluate(model("t5"), pairs(tmp_path / "set"), task="seq2seq")


def test_a_model_in_parts_does_not_generate(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match=r"'fsdp' gives each a part of it(.|\n)*generate = false"):
        evaluate(lowered("bart"), pairs(tmp_path / "set"), "test", "seq2seq", TrainConfig(strategy="fsdp"))


def test_targets_beyond_the_positions_of_the_model(tmp_path: Path) -> None:
    data = pairs(tmp_path / "set", max_target_len=40)
    with pytest.raises(MaseError, match="does not run on targets of 40 tokens"):
        evaluate(lowered("bart"), data, task="seq2seq")
    evaluate(lowered("bart"), pairs(tmp_path / "set", max_target_len=40, generate=False), task="seq2seq")


def test_a_score_that_is_not_measured_cannot_choose_the_epoch(tmp_path: Path) -> None:
    config, test_only = TrainConfig(monitor="val/wer"), pairs(tmp_path / "set", generate="test")
    with pytest.raises(MaseError, match="wer cannot choose the best epoch"):
        make_task("seq2seq", lowered("t5"), config, test_only)
    with pytest.raises(MaseError, match="unknown metric 'val/wer'"):
        make_task("seq2seq", lowered("t5"), config, pairs(tmp_path / "set", generate=False))


def test_a_run_learns_and_keeps_the_epoch_with_the_fewest_errors(tmp_path: Path) -> None:
    data = pairs(tmp_path / "set", **starting("bart"), metrics=["per"], batch_size=4)
    module = lowered("bart")
    before = evaluate(module, data, "val", task="seq2seq")
    config = TrainConfig(
        max_epochs=8, learning_rate=3e-3, monitor="val/per", report_to="none", progress=False
    )
    metrics = fit(module, data, config, tmp_path / "run", task="seq2seq")
    assert metrics["val/loss"] < before["val/loss"] / 1.5
    assert "train/per" not in metrics
    with next((tmp_path / "run").rglob("metrics.csv")).open() as file:
        logged = [float(row["val/per"]) for row in csv.DictReader(file) if row["val/per"]]
    assert len(logged) == 8
    assert metrics["val/per"] == pytest.approx(min(logged))
    assert evaluate(module, data, "val", task="seq2seq")["val/per"] == metrics["val/per"]
