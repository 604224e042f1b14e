"""``--list-passes`` and ``--describe``: what passes there are and what they take. Loads no torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from mase.ir.diagnostics import MaseError
from mase.passes import Pass, get_pass, pass_names
from mase.passes.base import ANY_LEVEL
from mase.passes.options import Option
from mase.passes.registry import broken_plugins

__all__ = ["describe_pass", "list_passes"]

_WIDTH = 100


def list_passes() -> str:
    """Every pass with its summary, one a line, and the plugins that do not load."""
    names = pass_names()
    width = max(map(len, names), default=0)
    lines = [f"{name:<{width}}  {_summary(name)}" for name in names]
    lines += [f"plugin {name!r} does not load: {why}" for name, why in broken_plugins().items()]
    return "\n".join(lines) + "\n"


def describe_pass(name: str) -> str:
    """What a pass does, its options, and what graphs it takes.

    Args:
        name: the pass.

    Raises:
        UsageError: if there is no such pass.

    Example:
        >>> print(describe_pass("dce").partition("Options")[0].strip().splitlines()[0])
        dce: Erase nodes that nothing uses and that have no effect.
    """
    return "\n".join(_description(get_pass(name))).replace("``", "`") + "\n"


def _summary(name: str) -> str:
    try:
        return get_pass(name).summary
    except MaseError as error:
        return f"({error.diagnostics[0].message})"


def _description(made: Pass) -> Iterator[str]:
    body = made.doc.partition("\nArgs:\n")[0].partition("\nExample:\n")[0].partition("\nRaises:\n")[0]
    yield f"{made.name}: {body.strip()}"
    yield ""
    yield "Options:" if made.options else "Options: none"
    for option in made.options.values():
        yield from _option(option)
    yield ""
    takes = f"a graph of level {' or '.join(made.requires)}" if made.requires != ANY_LEVEL else "any graph"
    yield f"Takes:   {takes}"
    yield f"Leaves:  a graph of {f'level {made.ensures}' if made.ensures else 'the same level'}"
    if made.needs_data:
        yield "Needs:   a data set ([data])"
    yield f"Written: {made.target.__module__}, {made.place}"


def _option(option: Option) -> Iterator[str]:
    default = " (required)" if option.required else f" = {option.default_text}" if option.default_text else ""
    yield f"  {option.name}: {option.type_text}{default}"
    if option.doc:
        yield textwrap.fill(option.doc, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
