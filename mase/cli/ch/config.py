"""The configuration of ``ch``: settings by name, and tables of passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mase.cli.ch.settings import SETTINGS, TASKS, Setting
from mase.ir.codec import from_plain
from mase.ir.diagnostics import Diagnostic, Location, MaseError, did_you_mean
from mase.ir.files import read_text
from mase.ir.parser import parse_toml
from mase.ir.toml_lines import LineIndex

__all__ = ["Config", "parse_config", "read_config"]

_TABLES = ("data", "model", "passes", "search")
_FILE = "<command line>"


@dataclass(frozen=True)
class Config:
    """What a configuration says.

    Args:
        settings: values of `SETTINGS` by name.
        model: the table ``[model]``, such as the arguments of one's own model.
        data: the table ``[data]``, such as options of one data set alone.
        passes: options by pass, in the order of the file; those of ``[search]`` too.
        file: its name, for messages.
        lines: where its keys stand.
        own_search: whether the options of the search are in ``[search]`` rather than ``[passes.search]``.
    """

    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    passes: Mapping[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    file: str = _FILE
    lines: LineIndex = field(default_factory=lambda: LineIndex(""))
    own_search: bool = False

    def at(self, *path: str) -> Location | None:
        """Where a key stands; None if there is no file."""
        return None if self.file == _FILE else Location(self.file, self.lines.line(*path))

    def at_option(self, name: str, option: str) -> Location | None:
        """Where an option of the pass ``name`` stands."""
        return (
            self.at(name, option) if name == "search" and self.own_search else self.at("passes", name, option)
        )


def read_config(path: str) -> Config:
    """Read a configuration file.

    Raises:
        MaseError: as `parse_config`, or if the file cannot be read.
    """
    return parse_config(read_text(path), path)


def parse_config(text: str, file: str = "<text>") -> Config:
    """Read the text of a configuration.

    Args:
        text: TOML.
        file: its name in messages.

    Raises:
        MaseError: for everything that is wrong with it, each with its line.

    Example:
        >>> parse_config("learning_rate = 1").settings
        {'learning_rate': 1.0}
        >>> parse_config("learning_rat = 1")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: <text>:1: error: unknown key 'learning_rat'
          help: did you mean 'learning_rate'?
    """
    return _Reader(parse_toml(text, file), file, LineIndex(text)).config()


class _Reader:
    """Collects every fault with its line."""

    def __init__(self, toml: dict[str, Any], file: str, lines: LineIndex) -> None:
        self._toml, self._file, self._lines = toml, file, lines
        self._faults: list[Diagnostic] = []

    def config(self) -> Config:
        settings: dict[str, Any] = {}
        for key, value in self._toml.items():
            if isinstance(value, dict) and key in _TABLES:
                continue
            if key in SETTINGS:
                settings[key] = self._value(SETTINGS[key], value)
            elif key != "mase":
                kind = "table" if isinstance(value, dict) else "key"
                self._fault(f"unknown {kind} {key!r}", key, help=did_you_mean(key, [*SETTINGS, *_TABLES]))
        passes = self._passes()
        self._check_homes(settings, passes)
        if self._faults:
            raise MaseError(self._faults)
        return Config(
            settings=settings,
            model=self._table("model"),
            data=self._table("data"),
            passes=passes,
            file=self._file,
            lines=self._lines,
            own_search="search" in self._toml,
        )

    def _fault(self, message: str, *path: str, help: str | None = None) -> None:
        at = Location(self._file, self._lines.line(*path))
        self._faults.append(Diagnostic(message, at=at, help=help))

    def _value(self, setting: Setting, plain: Any) -> Any:
        try:
            value = from_plain(setting.type, plain)
        except ValueError as error:
            self._fault(f"{setting.name}: {error}", setting.name)
            return None
        known = [*(setting.choices or ())]
        if known and value not in known:
            self._fault(
                f"{setting.name}: unknown value {value!r}", setting.name, help=did_you_mean(value, known)
            )
        return TASKS.get(value, value) if setting.name == "task" else value

    def _table(self, name: str) -> dict[str, Any]:
        found = self._toml.get(name, {})
        return cast(dict[str, Any], found) if isinstance(found, dict) else {}

    def _passes(self) -> dict[str, dict[str, Any]]:
        passes: dict[str, dict[str, Any]] = {}
        for name, options in self._table("passes").items():
            if isinstance(options, dict):
                passes[name] = dict(cast(dict[str, Any], options))
            else:
                self._fault(f"expected a table [passes.{name}], found {options!r}", "passes", name)
        if search := self._table("search"):
            if "search" in passes:
                self._fault("[search] and [passes.search] are the same table, given twice", "search")
            passes["search"] = search
        return passes

    def _check_homes(self, settings: Mapping[str, Any], passes: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing may be said twice: as a setting, and in the table that the setting fills."""
        tables: dict[str, Mapping[str, Any]] = {f"passes.{name}": table for name, table in passes.items()}
        tables |= {"model": self._table("model"), "data": self._table("data")}
        for name in settings:
            for home in SETTINGS[name].homes:
                table, _, key = home.rpartition(".")
                if key in tables.get(table, {}):
                    self._fault(f"{name!r} and {key!r} in [{table}] say the same", name, help="keep one")
