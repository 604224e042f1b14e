"""Which architectures capture keeps whole, and what each capture costs.

    python benchmarks/capture.py [--models bert,llama] [--json out.json] [--large]

Prints, for each model, the seconds, nodes and opaque modules of its capture, and whether each property holds
(see `architectures.verdict`); `-` where it does not apply, as the model takes another path in training. Image
models are those of torchvision and timm, where these load. `--large` captures a Llama of 7 billion weights on
the meta device, and prints seconds and memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from architectures import huggingface, vision
from architectures.base import Architecture
from architectures.libraries import library
from architectures.verdict import PROPERTIES, Verdict, judge, peak_memory


def everything() -> list[Architecture]:
    """Every architecture whose library loads."""
    missing = {name: library(name)[1] for name in ("torchvision", "timm")}  # before transformers imports one
    found = huggingface.everything()
    for name, models in (("torchvision", vision.torchvision), ("timm", vision.timm)):
        if missing[name]:
            print(f"without {name}: {missing[name]}")
        else:
            found += models()
    return found


def row(verdict: Verdict) -> str:
    """One line of the matrix, and below it what does not hold."""
    if verdict.error:
        return f"{verdict.name:34} not captured: {verdict.error}"
    marks = {p: "-" if p not in verdict.held else "no" if verdict.held[p] else "yes" for p in PROPERTIES}
    cells = " ".join(f"{mark:>{len(p)}}" for p, mark in marks.items())
    head = f"{verdict.name:34} {verdict.seconds:7.1f} {verdict.nodes:5d} {verdict.opaque:6d} {cells}"
    faults = [f"    {p}: {why}" for p, why in verdict.held.items() if why]
    return "\n".join([head, *faults, *(f"    {note.splitlines()[0]}" for note in verdict.notes)])


def matrix(wanted: list[str]) -> list[Verdict]:
    """Judge the architectures whose names hold one of the words, all if there are none."""
    chosen = [a for a in everything() if not wanted or any(w in a.name.lower() for w in wanted)]
    print(f"{'model':34} {'seconds':>7} {'nodes':>5} {'opaque':>6} {' '.join(PROPERTIES)}")
    verdicts: list[Verdict] = []
    for architecture in chosen:
        verdicts.append(judge(architecture))
        print(row(verdicts[-1]), flush=True)
    perfect, captured = sum(v.perfect for v in verdicts), sum(not v.error for v in verdicts)
    print(f"{captured} of {len(verdicts)} captured, {perfect} keep everything with every layer as a unit")
    return verdicts


def large() -> None:
    """Capture Llama 7B without its weights."""
    import transformers

    from mase.frontends.capture import capture

    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig())
        ids = torch.ones(2, 16, dtype=torch.long)
    before, start = peak_memory(), time.perf_counter()
    graph = capture(model, (), {"input_ids": ids}, dynamic={"input_ids": {0: "N", 1: "L"}}).graph
    seconds = time.perf_counter() - start
    weights = sum(p.numel() for p in model.parameters()) / 1e9
    print(
        f"Llama with {weights:.2f} billion weights on the meta device: {len(graph)} nodes, {seconds:.1f} s, "
    )
    print(f"{peak_memory():.2f} GB at the most, {before:.2f} GB of them before capture")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", default="", help="parts of names, separated by commas")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.large:
        large()
        return
    verdicts = matrix([word for word in args.models.lower().split(",") if word])
    if args.json:
        args.json.write_text(json.dumps([dataclasses.asdict(v) for v in verdicts], indent=2))


if __name__ == "__main__":
    main()
