"""Data sets of texts: what batches hold, in which order, and what is said when they cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, DatasetDict

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from tests.runtime.text.tiny import save, sentences, tokenizer, transformers, write_csv

HEADER = ("text", "label")


@pytest.fixture
def reviews(tmp_path: Path) -> Callable[..., Any]:
    """Makes the data set of 40 reviews in one csv file."""
    file = write_csv(tmp_path / "reviews.csv", list(sentences(40)), HEADER)

    def make(**options: Any) -> Any:
        settings = {"task": "text-classification", "tokenizer": tokenizer(), "batch_size": 4}
        return make_data(f"csv:{file}", **{**settings, "cache_dir": str(tmp_path / "cache"), **options})

    return make


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows(samples: Any) -> list[tuple[int, ...]]:
    return [tuple(samples[i]["input_ids"]) for i in range(len(samples))]


# -- batches ------------------------------------------------------------------------------------------


def test_batches_are_as_transformers_pads_them(reviews: Callable[..., Any]) -> None:
    data = reviews()
    source = data.rows["test"]
    made = tokenizer()(list(source["text"]), truncation=True)
    features = [
        {
            "input_ids": made["input_ids"][i],
            "attention_mask": made["attention_mask"][i],
            "label": ["bad", "good"].index(source[i]["label"]),
        }
        for i in range(4)
    ]
    expected = dict(transformers.DataCollatorWithPadding(tokenizer())(features))
    assert same(next(iter(data.test_dataloader())), expected)
    assert data.num_classes == 2
    assert data.input_types == {"input_ids": "i64[N,L]", "attention_mask": "i64[N,L]"}


def test_padding_to_the_longest_text_there_may_be(reviews: Callable[..., Any]) -> None:
    data = reviews(padding="max", max_token_len=12)
    assert data.input_types["input_ids"] == "i64[N,12]"
    assert {batch["input_ids"].shape[1] for batch in data.train_dataloader()} == {12}


def test_longer_texts_are_cut(reviews: Callable[..., Any]) -> None:
    batch = reviews(max_token_len=4, batch_size=40).example_batch()
    assert batch["input_ids"].shape[1] == 4
    assert set(batch["input_ids"][:, -1].tolist()) == {3}  # the end is still told


def test_padding_on_the_left(reviews: Callable[..., Any]) -> None:
    data = reviews(tokenizer=tokenizer(padding_side="left"), batch_size=32)
    batch = data.example_batch()
    short = int(batch["attention_mask"].sum(1).argmin())
    assert batch["attention_mask"][short, 0] == 0
    assert batch["attention_mask"][short, -1] == 1
    assert batch["input_ids"][short, 0] == 0


def test_buckets_waste_less_and_lose_nothing(reviews: Callable[..., Any]) -> None:
    plain, bucketed = reviews(), reviews(bucket=True)

    def cells(loader: Any) -> int:
        return sum(batch["input_ids"].numel() for batch in loader)

    def texts(loader: Any) -> list[tuple[int, ...]]:
        return sorted(tuple(row[row > 0].tolist()) for batch in loader for row in batch["input_ids"])

    for split in ("train", "val", "test"):
        a, b = (getattr(data, f"{split}_dataloader")() for data in (plain, bucketed))
        assert texts(a) == texts(b)
    assert cells(bucketed.train_dataloader()) < cells(plain.train_dataloader())
    assert rows(plain.splits.test) == rows(bucketed.splits.test)


def test_bucketed_order_depends_on_seed_and_epoch_alone(reviews: Callable[..., Any]) -> None:
    def order(seed: int, epoch: int) -> bytes:
        loader = reviews(bucket=True, seed=seed).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return b"".join(batch["input_ids"].numpy().tobytes() for batch in loader)

    assert order(0, 1) == order(0, 1)
    assert len({order(0, 0), order(0, 1), order(1, 0)}) == 3


def test_workers_give_the_same_batches(reviews: Callable[..., Any]) -> None:
    here, there = reviews().train_dataloader(), reviews(num_workers=1).train_dataloader()
    assert all(same(a, b) for a, b in zip(here, there, strict=True))


def test_pairs_of_texts(tmp_path: Path) -> None:
    file = write_csv(
        tmp_path / "pairs.csv", [("a film", "the plot", i % 2) for i in range(20)], ("p", "h", "y")
    )
    data = make_data(
        *(f"csv:{file}",),
        task="text-classification",
        tokenizer=tokenizer(),
        batch_size=2,
        text="p",
        text_pair="h",
        label="y",
    )
    batch = data.example_batch()
    expected = tokenizer()("a film", "the plot")
    assert batch["input_ids"][0].tolist() == expected["input_ids"]
    assert batch["token_type_ids"][0].tolist() == expected["token_type_ids"]
    assert "token_type_ids" in data.input_types


def test_numbers_to_predict(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "scores.csv", [("a film", i / 4) for i in range(20)], HEADER)
    data = make_data(f"csv:{file}", task="regression", tokenizer=tokenizer())
    assert (data.num_classes, data.task) == (1, "regression")
    assert data.example_batch()["labels"].dtype == torch.float32


def test_words_with_labels(tmp_path: Path) -> None:
    lines = [{"tokens": ["the", "very good", "film"], "ner_tags": ["O", "B", "I"]} for _ in range(12)]
    file = tmp_path / "words.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    data = make_data(f"json:{file}", task="token-classification", tokenizer=tokenizer(), batch_size=2)
    batch = data.example_batch()
    # Names in alphabetical order: B 0, I 1, O 2. "very good" is two tokens, of which the first has the label.
    assert batch["labels"][0].tolist() == [-100, 2, 0, -100, 1, -100]
    assert data.num_classes == 3


# -- sources and splits -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet", "disk"])
def test_every_kind_of_file_holds_the_same(kind: str, tmp_path: Path) -> None:
    table = Dataset.from_dict({"text": [s for s, _ in sentences(12)], "label": [x for _, x in sentences(12)]})
    parts = {
        "train": table.select(range(6)),
        "dev": table.select(range(6, 9)),
        "test": table.select(range(9, 12)),
    }
    folder = tmp_path / "data"
    folder.mkdir()
    for name, part in parts.items():
        match kind:
            case "csv" | "tsv":
                part.to_csv(folder / f"{name}.{kind}", sep="," if kind == "csv" else "\t")
            case "json" | "jsonl":
                part.to_json(folder / f"{name}.{kind}")
            case "parquet":
                part.to_parquet(folder / f"{name}.parquet")
            case _:
                DatasetDict(parts).save_to_disk(folder)
    source = {"tsv": "csv", "jsonl": "json", "disk": "hf"}.get(kind, kind)
    data = make_data(f"{source}:{folder}", task="text-classification", tokenizer=tokenizer())
    assert rows(data.splits.test) == tokens(sentences(12)[9:])
    assert rows(data.splits.val) == tokens(sentences(12)[6:9])
    assert len(rows(data.splits.train)) == 6


def tokens(said: list[tuple[str, str]]) -> list[tuple[int, ...]]:
    return [tuple(row) for row in tokenizer()([text for text, _ in said])["input_ids"]]


def test_missing_splits_are_drawn_and_always_the_same(reviews: Callable[..., Any]) -> None:
    one, other = reviews(seed=1), reviews(seed=2)
    sizes = {split: len(samples) for split, samples in vars(one.splits).items()}
    assert sizes == {"train": 32, "val": 4, "test": 4}
    for split in sizes:
        assert rows(getattr(one.splits, split)) == rows(getattr(other.splits, split))
    drawn = sorted(rows(one.splits.train) + rows(one.splits.val) + rows(one.splits.test))
    assert drawn == sorted(tokens(sentences(40)))


def test_shares_and_limits(reviews: Callable[..., Any]) -> None:
    data = reviews(shares={"test": 0.5}, limit={"train": 3})
    assert {split: len(s) for split, s in vars(data.splits).items()} == {"train": 3, "val": 4, "test": 20}


def test_glue_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def part(labels: list[int]) -> Dataset:
        return Dataset.from_dict(
            {"premise": ["a film"] * len(labels), "hypothesis": ["good"] * len(labels), "label": labels}
        )

    def load_dataset(name: str, config: str | None, **_: Any) -> dict[str, Dataset]:
        asked.append((name, config))
        held_back = part([-1] * 5)
        known = {"validation_matched": part([0, 1]), "validation_mismatched": part([2] * 3)}
        return {"train": part([0, 1, 2] * 10), **known, "test_matched": held_back}

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    data = make_data("hf:glue/mnli", tokenizer=tokenizer(), batch_size=2)
    assert data.task == "text-classification"
    assert {split: len(samples) for split, samples in vars(data.splits).items()} == {
        "train": 27,
        "val": 3,
        "test": 2,
    }
    assert asked == [("nyu-mll/glue", "mnli")]
    assert data.num_classes == 3
    assert "token_type_ids" in data.example_batch()


def test_what_was_tokenized_is_found_again(reviews: Callable[..., Any]) -> None:
    calls: list[int] = []

    class Counting(type(tokenizer())):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return super().__call__(*args, **kwargs)

    def counting() -> Any:
        made = tokenizer()
        made.__class__ = Counting
        return made

    first, again = reviews(tokenizer=counting()), reviews(tokenizer=counting())
    first.setup()
    done = len(calls)
    assert done
    again.setup()
    assert len(calls) == done
    reviews(tokenizer=counting(), max_token_len=5).setup()  # other tokens
    assert len(calls) > done


def test_files_and_tokenizers_are_found_beside_the_recipe(tmp_path: Path) -> None:
    write_csv(tmp_path / "reviews.csv", list(sentences(20)), HEADER)
    save(tmp_path / "tok")
    options = {"task": "text-classification", "tokenizer": "tok"}
    data = make_data("csv:reviews.csv", base_dir=tmp_path, **options)
    assert len(data.splits.train) == 16


# -- what is said -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": None}, "does not say what its texts are for"),
        ({"task": "text-clasification"}, "did you mean 'text-classification'?"),
        ({"tokenizer": None}, "needs a tokenizer"),
        ({"tokenizer": "/nowhere"}, "tokenizer '/nowhere' cannot be read"),
        ({"text": "txt"}, "no column 'txt'\n.*did you mean 'text'?"),
        ({"label": "text"}, "none of"),
        ({"stride": 3}, "no option 'stride'"),
        ({"max_token_len": 1}, "an integer above 1"),
        ({"padding": "long"}, "did you mean 'longest'?"),
        ({"splits": {"test": "dev"}}, "the data have no 'dev'"),
        ({"shares": {"test": 2.0}}, "between 0 and 1"),
        ({"shares": {"train": 0.5}}, "the data have a train split"),
        ({"limit": {"tset": 3}}, "did you mean 'test'?"),
        ({"task": "regression"}, "holds no numbers"),
        ({"task": "causal-lm", "bucket": True}, "bucket has no effect"),
        ({"task": "causal-lm", "max_token_len": 8, "stride": 9}, "stride is 9"),
    ],
)
def test_bad_options(reviews: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=f"(?s){message}"):
        reviews(**options).setup()


def test_labels_that_training_does_not_know(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [("a film", 0), ("a plot", 1)] * 10, HEADER)
    write_csv(tmp_path / "test.csv", [("a film", -1)], HEADER)
    data = make_data(f"csv:{tmp_path}", task="text-classification", tokenizer=tokenizer())
    with pytest.raises(MaseError, match="the test split has the label -1"):
        data.setup()


def test_a_download_that_is_not_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, *_: Any, **__: Any) -> Any:
        raise ConnectionError(f"Couldn't reach {name!r} on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(MaseError, match="hf:stanfordnlp/imdb cannot be downloaded: Couldn't reach") as caught:
        make_data("hf:imdb", tokenizer=tokenizer()).setup()
    assert "hf:DIR" in str(caught.value)
    assert "HF_HUB_OFFLINE=1" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("csv", 'write source = "csv:FILES"'),
        ("csv:nowhere.csv", "there is no file or folder nowhere.csv"),
        ("digits:8", "takes nothing after a colon"),
        ("cvs:reviews.csv", "did you mean 'csv'?"),
    ],
)
def test_bad_sources(source: str, message: str) -> None:
    with pytest.raises(MaseError, match=f"(?s){message}"):
        make_data(
            source, **({"task": "text-classification", "tokenizer": tokenizer()} if ":" in source else {})
        ).setup()
