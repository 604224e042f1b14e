"""One run of ``mase-opt``: read, check, run, show, write."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.cli.arguments import Arguments, Color
from mase.cli.defines import Define, apply_defines, parse_define
from mase.cli.rescue import rescued
from mase.cli.standard_input import standard_input
from mase.ir import text, verify
from mase.ir.codec import from_plain
from mase.ir.diagnostics import Diagnostic, Location, MaseError, Severity, UsageError, did_you_mean
from mase.ir.files import read_document, save
from mase.ir.parser import Document, parse_document
from mase.ir.processes import is_leader
from mase.passes import Context, Instrument, Pipeline
from mase.passes.inputs import graph_of
from mase.passes.registry import get_pass, load_all, pass_names

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["execute", "run"]

STANDARD = "-"
"""The name of standard input and of standard output."""


def run(args: Arguments) -> None:
    """Do what the command line says.

    Args:
        args: the command line, with an INPUT.

    Raises:
        MaseError: if the input or a pass has a problem; a `UsageError` if the command line has.
    """
    if args.input not in (None, STANDARD):
        _run(args, None)
        return
    with standard_input() as typed:
        _run(args, typed)


def _run(args: Arguments, typed: str | None) -> None:
    defines = [parse_define(text) for text in args.define]
    output = _output_file(args.output)
    pipeline = Pipeline(args.passes) if args.passes is not None else None
    document = _read(_input_file(args.input or STANDARD), typed)
    apply_defines(document, defines)
    if document.graph is None and args.seed:
        document.header.model.setdefault("seed", args.seed)  # the recipe's own seed is more particular
    if pipeline is None:
        pipeline = _own_pipeline(document, defines)
        document.header.pipeline.pop("passes", None)  # it has run when the result is written
    else:
        _check(pipeline, document, defines)
    _warn_of_idle_tables(document, args.color)
    if args.check:
        _check_only(document)
        return
    with rescued(output if any(call.name == "train" for call in pipeline.calls) else None) as cut_off:
        execute(args, pipeline, document, output, cut_off=cut_off)


def execute(
    args: Arguments,
    pipeline: Pipeline,
    document: Document,
    output: Path | None,
    *,
    folder: Path | None = None,
    instruments: Sequence[Instrument] = (),
    cut_off: bool = False,
) -> Context:
    """Run passes on a document, show what they say, and write the result.

    Args:
        args: the command line.
        pipeline: what to run, checked.
        document: the graph or recipe.
        output: the file of the resulting graph; None if none is kept.
        folder: where passes write; that of ``output`` if absent.
        instruments: who watches, beside those that the command line asks for.
        cut_off: whether the same ran before and did not end.

    Returns:
        The context of the run, with what was measured.

    Raises:
        MaseError: if the model or a pass has a problem.
    """
    from mase.cli.render import make_console
    from mase.cli.watching import Watch

    console = make_console(args.color)
    folder = folder or (output.parent if output else None)
    watch = Watch(args, pipeline, folder, console)
    base = Path(document.file).parent
    graph = graph_of(document)
    ctx = Context(graph, seed=args.seed, output_dir=folder, base_dir=base, console=console, cut_off=cut_off)
    try:
        pipeline.run_in(ctx, [*instruments, *watch.instruments])
        if output:
            save(ctx.graph, output)
            ctx.wrote(output, "the resulting graph")
    finally:
        watch.report(ctx)
    # On a terminal nobody wants to see a graph again that was only looked at.
    new = ctx.changed or not len(pipeline) or not sys.stdout.isatty()
    if is_leader() and (args.output == STANDARD or (output is None and new)):
        _print_graph(ctx, console)
    return ctx


def _print_graph(ctx: Context, console: Console) -> None:
    from mase.cli.render import say

    state = ctx.graph.state
    sys.stdout.write(text.dumps(ctx.graph))
    sys.stdout.flush()
    if len(state) and not state.clean and any(state.available(key) for key in state):
        say(console, "the text does not hold the weights; -o OUT writes both", "dim")


def _check_only(document: Document) -> None:
    if document.graph is None:
        print(f"{document.file}: a recipe, well-formed", file=sys.stderr)
        return
    verify.check(document.graph)
    if document.graph.state.file is not None:
        document.graph.state.file.check()
    print(f"{document.file}: a {document.graph.level} graph of {len(document.graph)} nodes", file=sys.stderr)


# -- the input ----------------------------------------------------------------------------------


def _input_file(name: str) -> str:
    """The graph in a folder, which is what ``-o FOLDER`` wrote; other names are those of files."""
    inside = Path(name) / "graph.toml"
    return str(inside) if inside.is_file() else name


def _read(name: str, typed: str | None) -> Document:
    def read() -> Document:
        if typed is None:
            return read_document(name)
        return parse_document(typed, file="<stdin>", base_dir=Path())

    try:
        return read()
    except MaseError:
        load_all()  # what is not known may come from an installed plugin
        return read()


def _own_pipeline(document: Document, defines: list[Define]) -> Pipeline:
    """What ``[pipeline] passes`` says; its mistakes are the file's unless ``-D`` made them."""
    written: Any = document.header.pipeline.get("passes", [])
    overridden = any(define.path[0] == "pipeline" for define in defines)
    try:
        passes: list[str] | str = from_plain(list[str] | str, written)
        pipeline = Pipeline(passes)
        _check(pipeline, document, defines)
    except ValueError as error:
        raise MaseError.of(f"[pipeline] passes: {error}", at=document.at("pipeline", "passes")) from None
    except UsageError as error:
        if overridden:
            raise
        at = document.at("pipeline", "passes")
        raise MaseError([replace(d, at=d.at or at) for d in error.diagnostics]) from None
    return pipeline


def _check(pipeline: Pipeline, document: Document, defines: list[Define]) -> None:
    """Find what is wrong with a pipeline before the model is even loaded."""
    overridden = {define.path[:3] for define in defines}

    def at(name: str, option: str) -> Location | None:
        path = ("passes", name, option)
        return None if path in overridden else document.at(*path)

    level = document.graph.level if document.graph else "float"
    pipeline.check(document.header, level, has_data=bool(document.header.data), at=at)


def _warn_of_idle_tables(document: Document, color: Color) -> None:
    """A table or an option that no pass has would have no effect, and nobody would know why."""
    known, found = pass_names(), list[Diagnostic]()

    def warn(message: str, close: str | None, *path: str) -> None:
        found.append(Diagnostic(message, Severity.WARNING, at=document.at("passes", *path), help=close))

    for name, table in document.header.passes.items():
        if name not in known:
            warn(f"[passes.{name}] has no effect: there is no such pass", did_you_mean(name, known), name)
            continue
        options = get_pass(name).options
        for option in table.keys() - options.keys():
            warn(f"[passes.{name}] has no option {option!r}", did_you_mean(option, options), name, option)
    if found:
        from mase.cli.render import make_console, show_diagnostics

        show_diagnostics(make_console(color), found)


# -- the output ---------------------------------------------------------------------------------


def _output_file(name: str | None) -> Path | None:
    """Where the result goes; fails now rather than after hours of training."""
    if name is None or name == STANDARD:
        return None
    if not name:
        raise UsageError.of("-o is empty", help="name a file or a folder, or - for standard output")
    path = Path(name) if name.endswith(".toml") else Path(name) / "graph.toml"
    ancestor = next((parent for parent in path.parents if parent.exists()), Path())
    if path.is_dir() or not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
        why = "it is a folder" if path.is_dir() else f"{ancestor} is no folder that you may write to"
        raise UsageError.of(f"cannot write {path}: {why}", help="choose another -o")
    return path
