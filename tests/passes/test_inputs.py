"""From recipes to graphs: what the data set says of the inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase

NET = """from torch import nn

def Net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


def load(folder: Path, *lines: str) -> mase.Graph:
    """The graph of a recipe for `NET`."""
    (folder / "net.py").write_text(NET)
    (folder / "g.toml").write_text("\n".join(["mase = 1", "[model]", 'source = "net.py:Net"', *lines, ""]))
    return mase.load(folder / "g.toml")


def test_the_data_set_says_the_type_of_the_input(tmp_path: Path) -> None:
    graph = load(tmp_path, "[data]", 'source = "digits"')
    assert [str(n.type) for n in graph.inputs] == ["f32[N,1,8,8]"]


def test_the_recipe_says_it_better(tmp_path: Path) -> None:
    graph = load(tmp_path, 'inputs = { input = "f32[N,64]" }', "[data]", 'source = "digits"')
    assert [str(n.type) for n in graph.inputs] == ["f32[N,64]"]


def test_nobody_says_it(tmp_path: Path) -> None:
    with pytest.raises(mase.MaseError, match="does not say which inputs it takes"):
        load(tmp_path)
