"""Which architectures capture keeps whole, and what each capture costs.

    python benchmarks/capture.py [--models bert,llama] [--json out.json]

Prints, for each model, whether it was captured, the seconds, nodes and opaque modules, and whether each
property holds (see `architectures.verdict.PROPERTIES`).
"""

from __future__ import annotations

import argparse

import torch
from architectures import huggingface, vision
from architectures.base import Architecture
from architectures.libraries import library
from architectures.verdict import PROPERTIES, Verdict, judge


def everything() -> list[Architecture]:
    library("torchvision")  # first, as transformers imports it
    h = huggingface
    return [
        *h.encoders(),
        *h.images(),
        *h.language(),
        *h.pairs(),
        *h.decoding(),
        *vision.torchvision(),
        *vision.timm(),
    ]


def line(verdict: Verdict) -> str:
    if verdict.error:
        return f"{verdict.name:34} {verdict.error[:200]}"
    marks = " ".join(f"{'no' if verdict.held[p] else 'yes':>{len(p)}}" for p in PROPERTIES)
    return f"{verdict.name:34} {verdict.seconds:7.1f} {verdict.nodes:5d} {verdict.opaque:6d} {marks}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [w.lower() for w in args.models.split(",") if w]
    chosen = [a for a in everything() if not wanted or any(w in a.name.lower() for w in wanted)]
    print(f"{'model':34} {'seconds':>7} {'nodes':>5} {'opaque':>6} {' '.join(PROPERTIES)}")
    verdicts = []
    for a in chosen:
        v = judge(a)
        verdicts.append(v)
        print(line(v), flush=True)
        for p, why in v.held.items():
            if why:
                print(f"    {p}: {why}", flush=True)
        for n in v.notes:
            print(f"    note: {n[:300]}", flush=True)
    print(sum(v.perfect for v in verdicts), "of", len(verdicts))


if __name__ == "__main__":
    main()
