"""Names: unique, found by file, forgiving when a plugin is imported twice."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import ModuleType

import pytest

from mase.ir.diagnostics import MaseError
from mase.runtime.data import DATA
from mase.runtime.registry import Registry
from mase.runtime.tasks import TASKS


def test_a_name_means_one_thing() -> None:
    colours: Registry[str] = Registry("colour")
    colours.register("grey", "gray")("#888")
    colours.register("grey")("#888")
    with pytest.raises(MaseError, match="colour 'gray' is registered twice"):
        colours.register("gray")("#777")
    assert list(colours) == ["gray", "grey"]
    assert "red" not in colours


def test_a_plugin_may_be_imported_again() -> None:
    makers: Registry[object] = Registry("maker")
    for _ in range(2):
        module = ModuleType("plugin")
        exec("def make(): ...", vars(module))
        makers.register("mine")(module.make)


def test_built_in_ones_are_found_by_their_files() -> None:
    assert {"digits", "toy-tiny"} <= set(DATA)
    assert {"classification", "cls"} <= set(TASKS)


def test_entry_points_add_those_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_plugin.py").write_text("import builtins\nbuiltins._colours.register('red')('#f00')\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("theirs", "their_plugin", "mase.colours")
    monkeypatch.setattr("mase.runtime.registry.entry_points", lambda group: [point])
    colours: Registry[str] = Registry("colour", group="mase.colours")
    monkeypatch.setattr("builtins._colours", colours, raising=False)
    assert colours["red"] == "#f00"
