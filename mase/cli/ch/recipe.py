"""From settings to what ``mase-opt`` runs: a document and a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mase.cli.ch.config import Config
from mase.cli.ch.effective import Effective
from mase.cli.ch.load import Start, find_start
from mase.cli.ch.settings import Action
from mase.ir.diagnostics import Location, MaseError, UsageError
from mase.ir.files import read_document
from mase.ir.graph import Header
from mase.ir.parser import Document
from mase.passes import Pipeline
from mase.passes.catalog import check_source, check_task, data_options, model_source
from mase.passes.grammar import Call
from mase.passes.transforms.quantize_legacy import is_legacy, translate

__all__ = ["Job", "check_job", "make_job"]


@dataclass(frozen=True)
class Job:
    """What is to run.

    Args:
        document: the model, as a recipe or a graph, with the options of passes.
        pipeline: the passes.
        start: the file that the weights come from, if there is one.
    """

    document: Document
    pipeline: Pipeline
    start: Start | None

    @property
    def passes(self) -> set[str]:
        """The names of the passes; ``search.train`` where a search trains, ``export.hls`` for hardware."""
        return _names(self.pipeline.calls, self.document.header.passes)


def make_job(action: Action, settings: Effective) -> Job:
    """What an action means with these settings.

    Args:
        action: what to do.
        settings: what holds.

    Raises:
        MaseError: if there is no model or data set, or the configuration has nothing to run; a
            `UsageError` if the command line is to blame.
    """
    start = find_start(settings["load"], settings["load_type"])
    calls = (
        [Call("load", {"file": str(start.file), "kind": start.kind})] if start and start.is_weights else []
    )
    calls += _calls(action, settings.config)
    document = _document(settings, start)
    header = document.header
    header.passes = _options(settings.config)
    _fill_source(document, settings)
    if start is not None and start.kind == "hf":
        check_source("hf")
        # The folder holds the model, whatever it is called here.
        header.model |= {"source": f"hf:{start.file}", "pretrained": True}
    _fill(header, settings, _names(calls, header.passes))
    _choose_task(header, settings)
    if not header.model.get("source") and document.graph is None:
        raise UsageError.of(
            "there is no model", help=f"name one: ch {action} toy toy-tiny; ch --info lists them"
        )
    if not header.data.get("source") and action != "transform":
        raise UsageError.of("there is no data set", help=f"name one: ch {action} toy toy-tiny")
    return Job(document, Pipeline([str(call) for call in calls]), start)


def check_job(job: Job, settings: Effective) -> None:
    """Find what can be known to be wrong before the model is even loaded.

    Args:
        job: what is to run.
        settings: what it was made of.

    Raises:
        MaseError: telling every problem, with its line of the configuration.
    """
    homes = {home: name for name, said in settings.said.items() for home in said.setting.homes}

    def at(owner: str, option: str) -> Location | None:
        name = homes.get(f"passes.{owner}.{option}", "")
        if name in settings.said and settings.said[name].command is not None:
            return None
        own = name in settings.config.settings
        return settings.config.at(name) if own else settings.config.at_option(owner, option)

    if settings["task"]:
        check_task(settings["task"])
    document = job.document
    level = document.graph.level if document.graph else "float"
    try:
        job.pipeline.check(document.header, level, has_data=bool(document.header.data), at=at)
    except MaseError as error:
        if any(d.at is None for d in error.diagnostics):
            raise UsageError(error.diagnostics) from None
        raise


def _calls(action: Action, config: Config) -> list[Call]:
    match action:
        case "train":
            return [Call("train"), Call("eval")]
        case "test" | "eval":
            return [Call("eval")]
        case "search":
            return [Call("search")]
        case "transform":
            if not config.passes:
                raise MaseError.of(
                    "transform has no passes to run",
                    at=config.at(),
                    help="write a table for each into --config, such as [passes.quantize]",
                )
            return [Call(name) for name in config.passes]


def _document(settings: Effective, start: Start | None) -> Document:
    """The graph that a run starts from, or an empty recipe; `_fill` writes the rest."""
    config = settings.config
    if start is None or start.kind != "mz":
        header = Header(model=dict(config.model), data=dict(config.data))
        return Document(header, None, config.file, config.lines)
    document = read_document(start.file)
    if config.data:
        document.header.data = dict(config.data)
    document.header.pipeline = {}
    return document


def _options(config: Config) -> dict[str, dict[str, Any]]:
    """The tables of passes, each in the style that its pass reads."""
    tables = deepcopy(dict(config.passes))
    if is_legacy(quantize := tables.get("quantize", {})):

        def at(*path: str) -> Location | None:
            return config.at("passes", "quantize", *path)

        tables["quantize"] = translate(quantize, at)
    return tables


def _fill(header: Header, settings: Effective, passes: set[str]) -> None:
    """Write what was said, and only that: a pass knows its own defaults."""
    for said in settings.said.values():
        for home in said.setting.homes if said.value is not None else ():
            if home not in ("model.source", "data.source"):
                _write(header, home, said.value, passes)
    if settings["github_ci"]:
        header.extra.setdefault("hardware", {})["simulate"] = False
    for owner, option, value in _run_options(settings):
        if owner in passes:
            header.passes.setdefault(owner, {}).setdefault(option, value)
    if settings["seed"] and not header.history:
        header.model.setdefault("seed", settings["seed"])


def _write(header: Header, home: str, value: Any, passes: set[str]) -> None:
    """Write a value to its place in the header, unless it is an option of a pass that does not run."""
    table, *path = home.split(".")
    if table == "passes":
        if ".".join(path[:-1]) in passes:
            _put(header.passes, path, value)
    elif table == "hardware":
        header.extra.setdefault("hardware", {})[path[0]] = value
    else:
        getattr(header, table)[path[0]] = value


def _names(calls: Sequence[Call], options: Mapping[str, Mapping[str, Any]]) -> set[str]:
    names = {call.name for call in calls}
    if "search" in names and options.get("search", {}).get("train_steps"):
        names.add("search.train")
    if "export" in names and options.get("export", {}).get("format") == "hls":
        names.add("export.hls")
    return names


def _put(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = value


def _choose_task(header: Header, settings: Effective) -> None:
    """A named task decides what open data are read for, and which head a model of ``hf:`` gets."""
    task, source = settings["task"], header.data.get("source")
    if not task:
        return
    if str(header.model.get("source", "")).startswith("hf:"):
        header.model.setdefault("task", task)
    if isinstance(source, str) and "task" in data_options(source):
        header.data.setdefault("task", task)


def _run_options(settings: Effective) -> list[tuple[str, str, Any]]:
    """Options of passes that follow from settings of ``ch`` itself."""
    debug = [("train", "fast_dev_run", True)] if settings["debug"] else []
    quiet = [("train", "progress", False)] if settings["github_ci"] else []
    return debug + quiet


def _fill_source(document: Document, settings: Effective) -> None:
    header = document.header
    for name, table in (("model", header.model), ("dataset", header.data)):
        value = settings.said[name].value
        if value is None:
            continue
        source = model_source(value) if name == "model" else value
        known = table.get("source")
        if name == "model" and document.graph is not None:
            if known not in (None, source):
                raise UsageError.of(
                    f"the loaded graph was made from {known}, not from {source}",
                    help="leave the model out, or load another graph",
                )
            continue
        if known not in (None, source):
            table.clear()  # the options of another model or data set
        table["source"] = source
