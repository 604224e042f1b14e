"""What you train is what you ship: every export of every case in every engine, number by number.

    python benchmarks/exactness.py [--quick] [--models jet,residual] [--bits 8,4] [--hls] [--save table.html]

Each case is a model of the zoo at some width, with scales for tensors or for channels, powers of two or
any. Its row says how many of 10,000 outputs differ from those of the quantized module, by form and engine,
for inputs of which half lie exactly between two codes; and which share of the outputs would be others if
ties went up instead of to even: where that is small, a wrong rounding would hide. What a form cannot say
exactly, its exporter refuses; the reasons stand below. ``--hls`` compiles the C++ of hls4ml as well, which
takes minutes for a convolutional net. ``--save`` writes the table as ``.html``, ``.svg`` or ``.txt``, by
the name's end.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from integers.cases import CASES, Case
from integers.verdict import ENGINES_BY_FORM, Verdict, judge
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mase.runtime.verification import Check

_WIDTH = 230  # characters that the whole table takes
QUICK_MODEL, QUICK_BITS = "jet-tagging", (8, 2)
SHORT = {
    "onnx reference": "reference",
    "onnxruntime": "ort",
    "onnxruntime, not optimised": "ort, plain",
    "qonnx": "qonnx",
    "hls4ml": "C++",
}


def columns(forms: Iterable[str]) -> list[tuple[str, str]]:
    """Form and engine of each column."""
    return [("", "interpreter")] + [(form, name) for form in forms for name in ENGINES_BY_FORM[form]]


class Printer:
    """Fills the table, with reasons as footnotes.

    Args:
        forms: what was exported.
    """

    def __init__(self, forms: tuple[str, ...]) -> None:
        self.columns = columns(forms)
        self.reasons: list[str] = []
        self.table = Table(title="outputs that differ from the quantized module", title_justify="left")
        for name in ("model", "bits", "scale per", "scales", "half up\nwould change"):
            self.table.add_column(
                name, justify="left" if name in ("model", "scale per", "scales") else "right"
            )
        for form, engine in self.columns:
            self.table.add_column(f"{form or 'graph'}\n{SHORT.get(engine, engine)}", justify="right")
        self._model = ""

    def add(self, verdict: Verdict) -> None:
        """A row for a case."""
        case = verdict.case
        if self._model not in ("", case.model):
            self.table.add_section()
        self._model = case.model
        share = Text(f"{verdict.half_up:.1%}", "green" if verdict.half_up > 0.01 else "red")
        cells = [self._cell(verdict.checks[column]) for column in self.columns]
        self.table.add_row(case.model, str(case.bits), case.per, case.scales, share, *cells)

    def _cell(self, check: Check) -> Text:
        if not check.skipped:
            return Text(f"{check.wrong:,} / {check.compared:,}", "green" if check.ok else "bold red")
        word, colon, reason = check.skipped.partition(": ")
        reason = reason if colon and word == "refused" else check.skipped
        if reason not in self.reasons:
            self.reasons.append(reason)
        return Text(f"{'refused' if word == 'refused' else 'absent'} {self.reasons.index(reason) + 1}", "dim")


def chosen(args: argparse.Namespace) -> list[Case]:
    """The cases that the options select."""
    bits = QUICK_BITS if args.quick and not args.bits else [int(b) for b in args.bits.split(",") if b]
    models = [QUICK_MODEL] if args.quick and not args.models else [m for m in args.models.split(",") if m]
    return [
        case
        for case in CASES
        if (not bits or case.bits in bits) and (not models or any(m in case.model for m in models))
    ]


def save(console: Console, path: Path) -> None:
    """The table as it was printed."""
    writers = {".html": console.save_html, ".svg": console.save_svg, ".txt": console.save_text}
    writers[path.suffix](str(path), clear=False)


def main() -> None:
    """Judge the cases, one line each as they come, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_MODEL} at {QUICK_BITS} bits")
    parser.add_argument("--models", default="", help="parts of names, separated by commas")
    parser.add_argument("--bits", default="", help="widths, separated by commas")
    parser.add_argument("--hls", action="store_true", help="hls4ml's C++ too")
    parser.add_argument("--save", type=Path, help="a file: .html, .svg or .txt")
    args = parser.parse_args()
    if args.save and args.save.suffix not in (".html", ".svg", ".txt"):
        parser.error(f"--save {args.save}: the name ends in .html, .svg or .txt")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    forms = ("integer", "qdq", "qonnx", *(["hls"] if args.hls else []))
    printer, exact, cases = Printer(forms), 0, chosen(args)
    for case in cases:
        verdict = judge(case, forms)
        exact += verdict.exact
        print(f"{case}: {'exact' if verdict.exact else 'NOT EXACT'}", file=sys.stderr, flush=True)
        printer.add(verdict)
    whole = args.save or not sys.stdout.isatty()
    console = Console(record=True, width=_WIDTH if whole else None)
    console.print(printer.table)
    for i, reason in enumerate(printer.reasons, 1):
        console.print(f"{i}: {reason}", highlight=False)
    console.print(f"{exact} of {len(cases)} cases are exact wherever they run", highlight=False)
    if args.save:
        save(console, args.save)
    sys.exit(exact != len(cases))


if __name__ == "__main__":
    main()
