"""How long capture, type annotation and quantization take on a BERT-base-sized encoder.

    python benchmarks/compile.py [--layers 12] [--json out.json]

Prints CPU seconds of each step (the smallest of three runs) beside those of plain torch.export.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

import mase


def measure(layers: int) -> dict[str, float]:
    """The steps for a BERT with so many layers, in CPU seconds."""
    from mase.frontends.capture import trace

    model = BertModel(BertConfig(num_hidden_layers=layers, attn_implementation="sdpa")).eval()
    inputs = {
        "input_ids": torch.randint(0, 30000, (2, 16)),
        "attention_mask": torch.ones(2, 16, dtype=torch.long),
    }
    dynamic = {name: {0: "N", 1: "S"} for name in inputs}
    quantize = 'quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}'
    best: dict[str, float] = {}

    def timed(name: str, step: Callable[[], mase.Graph]) -> mase.Graph:
        start = time.process_time()
        graph = step()
        best[name] = min(best.get(name, float("inf")), time.process_time() - start)
        return graph

    for _ in range(3):
        captured = timed("capture", lambda: trace(model, (), inputs, dynamic=dynamic))
        typed = timed("annotate-types", partial(mase.Pipeline("annotate-types").run, captured))
        timed("quantize", partial(mase.Pipeline(quantize).run, typed))
    start = time.process_time()
    torch.export.export(model, (), inputs, strict=False)
    return best | {"torch.export alone": time.process_time() - start}


def main() -> None:
    """Print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    seconds = measure(args.layers)
    for name, value in seconds.items():
        print(f"{name:20} {value:6.2f} s")
    total = sum(seconds[k] for k in ("capture", "annotate-types", "quantize"))
    print(f"{'capture to quantize':20} {total:6.2f} s  (goal: below 3)")
    print(f"{'over torch.export':20} {total / seconds['torch.export alone']:6.2f} x")
    if args.json:
        args.json.write_text(json.dumps(seconds, indent=2))


if __name__ == "__main__":
    main()
