"""The arguments of ``mase-opt``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mase.cli.parser import Parser, ShowVersion
from mase.ir.diagnostics import Severity, UsageError

__all__ = ["Arguments", "parse_arguments"]

_ABOUT = """\
Run compiler passes over a neural network: capture it, quantize it, train it, evaluate it, write it.

INPUT is a graph.toml: a recipe ([model] and [data]) or a graph that mase wrote; '-' reads standard
input. Every output is a valid input, so a run can stop and go on anywhere."""

_EXAMPLES = """\
examples:
  mase-opt graph.toml                                 show the model as IR
  mase-opt graph.toml -p quantize,train,eval -o out/graph.toml
  mase-opt graph.toml -p 'quantize{default={weight="fixed<4,3>"}},train{max_epochs=3}' -o out
  mase-opt out/graph.toml -p eval -D data.batch_size=64
  mase-opt graph.toml --load my_passes.py -p clip-weights,eval --diff
  mase-opt --list-passes;  mase-opt --describe quantize

options of a pass, strongest first:
  -p 'train{max_epochs=3}'   -D passes.train.max_epochs=3   [passes.train] in INPUT   the default

exit status:
  0 success   1 the input or a pass has a problem   2 wrong command line   3 a bug, shown with a traceback

The graph goes to -o, or else to standard output; everything else goes to standard error."""

Color = Literal["auto", "always", "never"]


class Arguments(argparse.Namespace):
    """What the command line says."""

    input: str | None
    passes: list[str] | None
    output: str | None
    define: list[str]
    load: list[str]
    seed: int
    check: bool
    list_passes: bool
    describe: str | None
    print_ir_after: str | None
    print_ir_after_change: bool
    diff: bool
    timing: bool
    stats: bool
    verify_numbers: bool
    dump_dir: Path | None
    color: Color
    least: Severity = Severity.NOTE
    """How bad a finding must be to be shown."""


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read a command line.

    Args:
        argv: the words after the program's name.

    Raises:
        UsageError: if it cannot be meant.
        SystemExit: after ``--help`` and ``--version``.
    """
    # A bare --print-ir-after would otherwise swallow the INPUT that follows it.
    words = ["--print-ir-after=*" if word == "--print-ir-after" else word for word in argv]
    args = _parser().parse_args(words, namespace=Arguments())
    if args.input is None and not args.list_passes and args.describe is None:
        raise UsageError.of("there is no INPUT", help="mase-opt --help shows the options and examples")
    return args


def _parser() -> Parser:
    parser = Parser(
        prog="mase-opt",
        usage="mase-opt [INPUT] [-p PASSES] [-o OUT] [options]",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("input", nargs="?", metavar="INPUT", help="a graph.toml, the folder of one, or - for standard input")
    add("-p", "--passes", action="append", metavar="PASSES", help='a{x=1 y="s"},b; else INPUT\'s [pipeline]')
    add("-o", "--output", metavar="OUT", help="write OUT (.toml or a folder) and its weights beside it")
    add("-D", dest="define", action="append", default=[], metavar="KEY=VALUE", help="override a key of INPUT")
    add("--load", action="append", default=[], metavar="FILE", help="run a Python file that registers passes")
    add("--seed", type=int, default=0, metavar="N", help="seed everything random (default 0)")
    _add_questions(parser)
    _add_instruments(parser)
    return parser


def _add_questions(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("instead of running").add_argument
    add("--check", action="store_true", help="read, verify and check the pipeline; run nothing")
    add("--list-passes", action="store_true", help="list the passes and exit")
    add("--describe", metavar="PASS", help="explain a pass and its options and exit")
    add("-V", "--version", action=ShowVersion, nargs=0, help="show the version and exit")


def _add_instruments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("watching the run").add_argument
    add("--print-ir-after", metavar="[=NAMES]", help="print the IR after every pass, or after a,b")
    add("--print-ir-after-change", action="store_true", help="... after every pass that changed it")
    add("--diff", action="store_true", help="print what each pass changed")
    add("--timing", action="store_true", help="print how long each pass took")
    add("--stats", action="store_true", help="print the passes' counters and what they left alone")
    add("--verify-numbers", action="store_true", help="execute around each pass that must keep the numbers")
    add("--dump-dir", type=Path, metavar="DIR", help="write each stage as a graph.toml that can be resumed")
    add("--color", choices=("auto", "always", "never"), default="auto", help="colour messages (default auto)")
