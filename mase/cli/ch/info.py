"""``ch --info``: what models and data sets there are, and what each needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mase.cli.ch.arguments import Arguments, Info
from mase.passes import load_file
from mase.passes.catalog import Entry, Kind, catalog

__all__ = ["show_info"]


class _Section(NamedTuple):
    about: Info
    kind: Kind
    title: str


_SECTIONS = (
    _Section("model", "model", "models"),
    _Section("model", "source", "other sources of models"),
    _Section("dataset", "dataset", "data sets"),
)


def show_info(args: Arguments) -> None:
    """Print what can be named, on standard output.

    Args:
        args: the command line; ``--load-plugin`` adds to what there is.
    """
    for file in args.given.get("load_plugin", []):
        load_file(file)
    chosen = [section for section in _SECTIONS if args.info in ("all", section.about)]
    print("\n\n".join(_text(section.title, catalog(section.kind)) for section in chosen))


def _text(title: str, entries: Sequence[Entry]) -> str:
    width = max((len(entry.name) for entry in entries), default=0)
    return "\n".join([title, *(f"  {entry.name:<{width}}  {_line(entry)}" for entry in entries)])


def _line(entry: Entry) -> str:
    text = entry.summary.replace("``", "").rstrip(".")
    if not entry.missing:
        return f"{text} (installed)"
    return f"{text} (needs: {entry.missing})".strip()
