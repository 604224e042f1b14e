"""One run of ``ch``: settle what holds, find the project, run as ``mase-opt`` does, say where it all is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.cli.arguments import Arguments as OptArguments
from mase.cli.arguments import parse_arguments as parse_opt_arguments
from mase.cli.ch.arguments import Arguments
from mase.cli.ch.config import Config, read_config
from mase.cli.ch.effective import Effective
from mase.cli.ch.project import Project, command_key, find_project, project_stem
from mase.cli.ch.recipe import Job, check_job, make_job
from mase.cli.rescue import CUT_OFF
from mase.ir.diagnostics import Severity
from mase.ir.processes import is_leader, told
from mase.passes import load_file

if TYPE_CHECKING:
    from rich.console import Console

    from mase.cli.ch.settings import Action

__all__ = ["run"]

_LEAST = {"warning": Severity.WARNING, "error": Severity.ERROR, "critical": Severity.ERROR}


def run(args: Arguments) -> None:
    """Do what the command line says.

    Args:
        args: the command line, with an action.

    Raises:
        MaseError: if the configuration, the model, the data or a pass has a problem; a `UsageError` if the
            command line has.
    """
    assert args.action is not None
    config = read_config(args.config) if args.config is not None else Config()
    settings = Effective(args.given, config)
    plugins: list[str] = settings["load_plugin"] or []
    for file in plugins:
        load_file(file)
    console = _console(args, settings)
    job = make_job(args.action, settings)
    check_job(job, settings)
    key = _key(job)
    project = _project(args.action, job, settings, key)
    with told(CUT_OFF, lambda: "yes" if project.was_cut_off(key) else "no", otherwise="no") as answer:
        cut_off = answer == "yes"
        if is_leader():
            _introduce(console, project, job, settings, cut_off=cut_off)
        with project.under_way(key) if is_leader() else nullcontext():
            _execute(args, job, project, settings, cut_off=cut_off)
    if is_leader():
        project.finish()
        print(project.folder)


def _introduce(console: Console, project: Project, job: Job, settings: Effective, *, cut_off: bool) -> None:
    from mase.cli.render import say

    if settings["debug"] or settings["log_level"] in ("debug", "info"):
        _announce(console, project, job, settings)
    _warn(console, job, settings)
    if cut_off:
        say(console, f"this command was cut off in {project.folder}; going on there", "bold")


def _execute(args: Arguments, job: Job, project: Project, settings: Effective, *, cut_off: bool) -> None:
    from mase.cli.ch.results import write_changes, write_metrics
    from mase.cli.render import say
    from mase.cli.session import execute
    from mase.passes.instruments.changes import Changes

    changes = Changes()
    ctx = execute(
        _opt_arguments(args, settings),
        job.pipeline,
        job.document,
        project.output,
        folder=project.workplace,
        instruments=[changes],
        cut_off=cut_off,
    )
    shown = len(ctx.artifacts)
    if ctx.metrics:
        write_metrics(ctx, project.output.parent)
    if project.action == "transform":
        write_changes(ctx, changes, project.output.parent)
    for path, what in list(ctx.artifacts.items())[shown:]:
        say(ctx.console, f"wrote {path} ({what})")


def _opt_arguments(args: Arguments, settings: Effective) -> OptArguments:
    """The command line of ``mase-opt`` that shows as much."""
    words = ["-", "--seed", str(settings["seed"]), "--color", args.color]
    made = parse_opt_arguments([*words, *(["--timing", "--stats", "--diff"] if settings["debug"] else [])])
    made.least = Severity.NOTE if settings["debug"] else _LEAST.get(settings["log_level"], Severity.NOTE)
    return made


def _console(args: Arguments, settings: Effective) -> Console:
    from mase.cli.render import make_console

    if settings["github_ci"] and args.color == "auto":
        args.color = "never"
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("mase").setLevel("DEBUG" if settings["debug"] else settings["log_level"].upper())
    return make_console(args.color)


def _key(job: Job) -> str:
    header = job.document.header
    start = str(job.start.file.resolve()) if job.start else ""
    return command_key(str(job.pipeline), start, header.model, header.data, header.passes)


def _project(action: Action, job: Job, settings: Effective, key: str) -> Project:
    from mase.passes.catalog import data_task

    header, graph = job.document.header, job.document.graph
    dataset = str(header.data.get("source", ""))
    model = str(header.model.get("source") or (graph.name if graph else ""))
    task = settings["task"] or (data_task(header, Path(job.document.file).parent) if dataset else "")
    return find_project(
        action,
        Path(settings["project_dir"]),
        project_stem(model, task, dataset),
        name=settings["project"],
        key=key,
        reads=job.start.file if job.start else None,
    )


def _announce(console: Console, project: Project, job: Job, settings: Effective) -> None:
    from mase.cli.ch.show import show_settings
    from mase.cli.render import say

    show_settings(console, f"ch {project.action}", settings.table(job.passes, _task_defaults(job, settings)))
    emits = "export.hls" in job.passes
    idle = ("num_targets",) if emits else ("target", "num_targets")
    kept = " and ".join(name for name in idle if settings[name] is not None)
    if kept:
        why = "a project is for one device" if emits else '[passes.export] with format = "hls" uses it'
        say(console, f"note: [hardware] of the result keeps {kept}; {why}", "cyan")


def _task_defaults(job: Job, settings: Effective) -> Mapping[str, Any]:
    """What the task trains with where nobody says otherwise."""
    from mase.passes.catalog import data_task, training_defaults

    if not job.passes & {"train", "search.train"}:
        return {}
    return training_defaults(settings["task"] or data_task(job.document.header))


def _warn(console: Console, job: Job, settings: Effective) -> None:
    from mase.cli.render import say

    if settings["log_level"] not in ("error", "critical"):
        for flag in settings.idle(job.passes):
            say(console, f"warning: {flag} has no effect on {job.pipeline}", "yellow")
