"""The commands at the heads of the examples name what exists, and take what an earlier one has made."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.packaged.registry import names
from mase.passes import Pipeline
from tests.examples.documented import ROOT, commands

RECIPES = sorted((ROOT / "examples").glob("*/*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe.parent.name}-{recipe.stem}")
def test_the_head_of_an_example_can_be_followed(recipe: Path) -> None:
    made: set[str] = set()
    for program, *arguments in commands(recipe):
        if program == "python":
            script, *sets = arguments
            assert (ROOT / script).is_file()
            assert set(sets) <= set(names())
            continue
        assert program == "mase-opt"
        if arguments[0] == "--passes":
            Pipeline(arguments[1])
            arguments = arguments[2:]
        source, output, target = arguments
        assert output == "-o"
        assert source in made or (ROOT / source).is_file()
        made |= {target, f"{target}/graph.toml"}


def test_continued_lines_are_one_command(tmp_path: Path) -> None:
    recipe = tmp_path / "graph.toml"
    recipe.write_text(
        "# Text, no command:\n#\n#     mase-opt --passes 'a, b' \\\n#         x.toml -o y\nmase = 1\n"
    )
    assert commands(recipe) == [["mase-opt", "--passes", "a, b", "x.toml", "-o", "y"]]
