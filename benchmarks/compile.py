"""How long capture, type annotation and quantization take on a BERT-base-sized encoder.

    python benchmarks/compile.py [--layers 12] [--json out.json]

Prints CPU seconds of each step (the smallest of three runs) beside those of plain torch.export.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

import mase


def cpu_seconds(step: Callable[[], object]) -> float:
    """CPU time of one call in seconds."""
    start = time.process_time()
    step()
    return time.process_time() - start


def measure(layers: int) -> dict[str, float]:
    """The steps for a BERT with so many layers, in CPU seconds."""
    from mase.frontends.capture import trace

    model = BertModel(BertConfig(num_hidden_layers=layers, attn_implementation="sdpa")).eval()
    inputs = {
        "input_ids": torch.randint(0, 30000, (2, 16)),
        "attention_mask": torch.ones(2, 16, dtype=torch.long),
    }
    dynamic = {name: {0: "N", 1: "S"} for name in inputs}
    quantize = 'quantize{default={data_in="fixed<8,4>" weight="fixed<8,6>"}}'
    best: dict[str, float] = {}
    for _ in range(3):
        graphs: list[mase.Graph] = []
        steps: dict[str, Callable[[], object]] = {
            "capture": lambda: graphs.append(trace(model, (), inputs, dynamic=dynamic)),
            "annotate-types": lambda: graphs.append(mase.Pipeline("annotate-types").run(graphs[-1])),
            "quantize": lambda: graphs.append(mase.Pipeline(quantize).run(graphs[-1])),
            "lower": lambda: mase.lower(graphs[-1]),
        }
        for name, step in steps.items():
            best[name] = min(best.get(name, 1e9), cpu_seconds(step))
    peer = {"torch.export alone": lambda: torch.export.export(model, (), inputs, strict=False)}
    return best | {name: cpu_seconds(step) for name, step in peer.items()}


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
