"""A graph that is written elsewhere still finds the data that lay beside its recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mase
from mase.passes.data import data_of

RECIPE = """mase = 1
[model]
source = "zoo:mlp"
args = {{ features = 2, outputs = 2 }}
[data]
{data}
"""


@pytest.mark.parametrize("kind", ["arrays", "table", "table with others"])
def test_data_are_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    x = np.random.default_rng(0).random((40, 2))
    np.savez("recipes/data.npz", x=x, y=np.arange(40) % 2)
    rows = "a,b,c\n" + "".join(f"{a},{b},{i % 2}\n" for i, (a, b) in enumerate(x))
    for name in ("rows", "rest"):
        Path(f"recipes/{name}.csv").write_text(rows)
    data = {
        "arrays": 'source = "arrays:data.npz"',
        "table": 'source = "table:rows.csv"',
        "table with others": 'source = "table:rows.csv"\ntest = "rest.csv"',
    }[kind]
    Path("recipes/graph.toml").write_text(RECIPE.format(data=data))
    mase.save(mase.load("recipes/graph.toml"), "out/graph.toml")
    found = data_of(mase.load("out/graph.toml").header, Path("out"))
    assert len(found.splits.test) > 0  # type: ignore[arg-type]
