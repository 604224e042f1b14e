"""Pairs of texts become batches as transformers' own collator makes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BartConfig, DataCollatorForSeq2Seq, GenerationConfig

from mase.frontends.recipe import Recipe, build
from mase.ir import MaseError
from mase.ir.graph import Header
from mase.passes.data import data_of
from mase.runtime.data import make_data
from mase.runtime.tasks.seq2seq import SequenceToSequence
from mase.runtime.training.config import TrainConfig
from tests.runtime.encoder_decoders import captured, model
from tests.runtime.pairs import WORDS, pairs, write_pairs

TRANSLATIONS = [{"translation": {"en": word, "fr": word.upper()}} for word in WORDS]


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_batches_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    config = model(name).config
    data = pairs(tmp_path / "set", decoder_start_token_id=config.decoder_start_token_id)
    batch = data.example_batch()
    features = [
        {k: data.splits.train[i][k] for k in ("input_ids", "attention_mask", "labels")} for i in range(5)
    ]
    theirs = DataCollatorForSeq2Seq(data.tokenizer, model=model(name))(features)
    for key in ("input_ids", "attention_mask", "labels", "decoder_input_ids"):
        assert torch.equal(batch[key], theirs[key]), key
    assert batch["references"] == [" ".join(word.upper()) for word in WORDS[:5]]
    assert data.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)[0] == "a b"


def test_types_say_what_varies(tmp_path: Path) -> None:
    assert dict(pairs(tmp_path / "set").input_types) == {
        "input_ids": "i64[N,L]",
        "attention_mask": "i64[N,L]",
        "decoder_input_ids": "i64[N,M]",
    }
    data = pairs(tmp_path / "set", padding="max", max_target_len=9)
    assert dict(data.input_types)["input_ids"] == "i64[N,12]"
    assert dict(data.input_types)["decoder_input_ids"] == "i64[N,9]"
    shapes = {name: tuple(v.shape) for name, v in data.example_batch().items() if name != "references"}
    assert shapes == {
        "input_ids": (5, 12),
        "attention_mask": (5, 12),
        "labels": (5, 9),
        "decoder_input_ids": (5, 9),
    }


def test_long_texts_are_cut_but_not_their_references(tmp_path: Path) -> None:
    data = pairs(tmp_path / "set", max_token_len=3, max_target_len=4, prefix="h", batch_size=12)
    batch = data.example_batch()
    assert batch["input_ids"].shape[1] == 3
    assert batch["labels"].shape[1] == 4
    assert batch["references"][-1] == "B E E F"
    firsts = data.tokenizer.convert_ids_to_tokens(batch["input_ids"][:, 0])
    assert set(firsts) == {"h"}


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        ({}, ("en", "fr")),
        ({"text": "fr"}, ("fr", "en")),
        ({"target": "en"}, ("fr", "en")),
        ({"text": "translation.fr", "target": "translation.en"}, ("fr", "en")),
    ],
)
def test_columns_of_translation_sets(tmp_path: Path, asked: dict[str, str], columns: tuple[str, str]) -> None:
    folder = write_pairs(tmp_path / "set", TRANSLATIONS)
    data = pairs(folder, task="translation", **asked)
    assert data.columns == tuple(f"translation.{name}" for name in columns)
    assert data.task == "translation"
    reference = data.splits.train[0]["reference"]
    assert reference.isupper() == (columns[1] == "fr")


def test_columns_of_tables(tmp_path: Path) -> None:
    rows = [{"document": word, "summary": word[0], "id": 7} for word in WORDS]
    folder = write_pairs(tmp_path / "set", rows)
    assert pairs(folder, task="summarization").columns == ("document", "summary")
    assert pairs(folder, text="summary", target="document").columns == ("summary", "document")
    with pytest.raises(MaseError, match="no column of text among document, summary, id"):
        pairs(folder).columns  # noqa: B018
    with pytest.raises(MaseError, match="no column 'documents'"):
        pairs(folder, text="documents", target="summary").columns  # noqa: B018
    with pytest.raises(MaseError, match="one column"):
        pairs(folder, text="summary", target="summary").columns  # noqa: B018


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_other_files_give_the_same_pairs(tmp_path: Path, ending: str) -> None:
    import pandas as pd

    folder = write_pairs(tmp_path / "set")
    frame = pd.DataFrame([json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()])
    file = tmp_path / f"all.{ending}"
    if ending == "parquet":
        frame.to_parquet(file)
    else:
        frame.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    options = {
        "task": "seq2seq",
        "tokenizer": str(folder / "tokenizer"),
        "cache_dir": str(tmp_path / "cache"),
    }
    kind = "csv" if ending == "tsv" else ending
    data = make_data(f"{kind}:{file}", **options)
    found = [row["reference"] for split in vars(data.splits).values() for row in split]
    assert sorted(found) == sorted(" ".join(word.upper()) for word in WORDS)


def header(folder: Path, source: str, **model: Any) -> Header:
    data = {"source": f"json:{folder}", "task": "seq2seq", "cache_dir": str(folder.with_name("cache"))}
    return Header(model={"source": source, **model}, data={**data, "tokenizer": str(folder / "tokenizer")})


def test_the_decoder_starts_as_the_model_says(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set")
    checkpoint = tmp_path / "checkpoint"
    BartConfig(decoder_start_token_id=7).save_pretrained(checkpoint)
    known = header(folder, f"hf:{checkpoint}")
    assert data_of(known).decoder_start_token_id == 7
    assert data_of(header(folder, "hf:bart")).decoder_start_token_id == 1  # the tokenizer's <s>
    said = header(folder, "hf:bart", config={"decoder_start_token_id": 5})
    assert data_of(said).decoder_start_token_id == 5
    known.data["decoder_start_token_id"] = 3
    assert data_of(known).decoder_start_token_id == 3


def test_the_search_is_the_authors_unless_the_user_says(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set")
    checkpoint = tmp_path / "checkpoint"
    BartConfig().save_pretrained(checkpoint)
    GenerationConfig(num_beams=4, length_penalty=2.0, eos_token_id=99, max_length=60).save_pretrained(
        checkpoint
    )
    known = header(folder, f"hf:{checkpoint}")
    known.data |= {"max_target_len": 20, "generation": {"num_beams": 2}}
    found = dict(data_of(known).generation)
    assert found == {"num_beams": 2, "length_penalty": 2.0, "max_new_tokens": 20}
    known.data["generation"] = {"max_length": 30}
    assert dict(data_of(known).generation) == {"num_beams": 4, "length_penalty": 2.0, "max_length": 30}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["bleu", "blue"]}, "unknown score of texts 'blue'"),
        ({"generate": ["valid"]}, "generate: no split 'valid'"),
        ({"generation": {"beams": 2}}, "unknown generation option 'beams'"),
        ({"max_target_len": 1}, "max_target_len is 1"),
        ({"max_target": 1}, "no option 'max_target'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MaseError, match=message):
        _ = SequenceToSequence(captured_module(), TrainConfig(), pairs(tmp_path / "set", **options)).search


def captured_module() -> Any:
    import mase

    return mase.lower(captured("t5"))


def test_a_new_model_takes_the_tokens_of_the_data(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16}
    sizes |= {"decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    recipe = header(write_pairs(tmp_path / "set"), "hf:bart", config=sizes)
    data = data_of(recipe)
    made: Any = build(replace(Recipe.of(recipe.model), data=data)).model
    tokenizer = data.tokenizer
    assert type(made).__name__ == "BartForConditionalGeneration"
    assert made.config.vocab_size == len(tokenizer)
    assert made.config.pad_token_id == made.model.shared.padding_idx == tokenizer.pad_token_id == 0
    assert (made.config.bos_token_id, made.config.eos_token_id) == (1, 2)
    assert made.config.decoder_start_token_id == data.decoder_start_token_id == 1
    recipe.model["config"] |= {"vocab_size": 99, "pad_token_id": 3}
    said: Any = build(replace(Recipe.of(recipe.model), data=data)).model
    assert (said.config.vocab_size, said.config.pad_token_id) == (99, 3)
