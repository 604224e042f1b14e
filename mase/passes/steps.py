"""Steps: the calls of a pipeline matched with registered passes, their options merged and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mase.ir.diagnostics import Diagnostic, Location, MaseError, UsageError
from mase.ir.graph import Graph
from mase.ir.op import Level
from mase.passes.base import Pass
from mase.passes.context import Context
from mase.passes.grammar import Call
from mase.passes.options import OptionError, parse_options
from mase.passes.registry import get_pass, pass_names

__all__ = ["Locate", "Step", "check_levels", "plan"]

Locate = Callable[[str, str], "Location | None"]
"""Where the table of a pass (first) sets an option (second)."""


@dataclass(frozen=True)
class Step:
    """One pass of a run.

    Args:
        index: its place in the pipeline, from 0.
        call: its name with every option that is not a default.
        made: the registered pass.
        run: the pass with the typed values of its options.
        rest: the calls that follow.
    """

    index: int
    call: Call
    made: Pass
    run: Callable[[Graph, Context], None]
    rest: tuple[Call, ...] = ()

    @property
    def name(self) -> str:
        """The name of the pass."""
        return self.made.name


def plan(
    calls: Sequence[Call], tables: Mapping[str, Mapping[str, Any]], at: Locate | None = None
) -> list[Step]:
    """Match calls with passes.

    Args:
        calls: what to run; their options win over the tables.
        tables: options by name of the pass, as under ``[passes]``.
        at: where a table sets an option.

    Raises:
        MaseError: telling every unknown pass and option and every bad value at once; a `UsageError`
            unless all of them come from the tables.
    """
    found: list[Step] = []
    from_calls: list[Diagnostic] = []
    from_tables: list[Diagnostic] = []
    effective = [Call(c.name, {**tables.get(c.name, {}), **c.options}, c.column) for c in calls]
    for index, (written, call) in enumerate(zip(calls, effective, strict=True)):
        try:
            made = get_pass(call.name)
        except MaseError as error:
            from_calls += error.diagnostics
            continue
        values, errors = parse_options(made.options, call.options)
        for error in errors:
            if error.option in tables.get(call.name, {}) and error.option not in written.options:
                place = at(call.name, error.option) if at else None
                from_tables.append(_explain(error, f"[passes.{call.name}]", place))
            else:
                from_calls.append(_explain(error, f"pass {call.name!r}"))
        if errors:
            continue
        try:
            found.append(Step(index, call, made, made.bind(values), tuple(effective[index + 1 :])))
        except MaseError as error:
            own = [name for name in tables.get(call.name, {}) if name not in written.options]
            culprit = next((name for name in own if _refuses(made, {name: values[name]})), None)
            if culprit is None:
                from_calls += [_within(d, f"pass {call.name!r}") for d in error.diagnostics]
            else:
                place = at(call.name, culprit) if at else None
                from_tables += [_within(d, f"[passes.{call.name}]", place) for d in error.diagnostics]
    if from_calls or from_tables:
        kind = UsageError if from_calls else MaseError
        raise kind(list(dict.fromkeys(from_calls + from_tables)))
    return found


def check_levels(steps: Sequence[Step], level: Level, *, has_data: bool) -> list[Diagnostic]:
    """What is wrong with running ``steps`` on a graph of ``level``, found without running anything.

    Args:
        steps: the planned passes.
        level: the level of the graph before the first.
        has_data: whether there is a data set.
    """
    problems: list[Diagnostic] = []
    cause: Step | None = None
    for step in steps:
        if level not in step.made.requires:
            problems.append(_wrong_level(step, level, cause))
        if step.made.needs_data and not has_data:
            remedy = 'write [data] source = "digits" in the graph.toml, or add -D data.source=digits'
            problems.append(
                Diagnostic(f"pass {step.name!r} needs a data set, and there is none", help=remedy)
            )
        if step.made.ensures is not None:
            level, cause = step.made.ensures, step
    return problems


def _wrong_level(step: Step, level: Level, cause: Step | None) -> Diagnostic:
    wanted = " or ".join(step.made.requires)
    why = f"{cause.name!r} before it leaves a graph at level {level}" if cause else f"the graph is {level}"
    message = f"pass {step.name!r} takes graphs at level {wanted}, but {why}"
    if cause is not None and set(cause.made.requires) & set(step.made.requires):
        return Diagnostic(message, help=f"run {step.name!r} before {cause.name!r}")
    makers = [name for name in pass_names() if _leads(name, level, step.made.requires)]
    remedy = f"passes that make it so: {', '.join(makers)}" if makers else f"start from a {wanted} graph"
    return Diagnostic(message, help=remedy)


def _leads(name: str, level: Level, wanted: Sequence[Level]) -> bool:
    """Whether the pass ``name`` makes a graph of ``level`` one that is wanted."""
    try:
        made = get_pass(name)
    except MaseError:  # a plugin that does not load is no remedy
        return False
    return made.ensures in wanted and level in made.requires


def _refuses(made: Pass, options: Mapping[str, Any]) -> bool:
    """Whether a pass rejects an option even alone."""
    try:
        made.bind(options)
    except MaseError:
        return True
    except TypeError:  # another one is required
        return False
    return False


def _within(diagnostic: Diagnostic, where: str, at: Location | None = None) -> Diagnostic:
    return replace(diagnostic, message=f"{where}: {diagnostic.message}", at=diagnostic.at or at)


def _explain(error: OptionError, where: str, at: Location | None = None) -> Diagnostic:
    return Diagnostic(f"{where}: {error}", at=at, help=error.help)
