"""Each file of ``configs`` runs as its first line says."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import pytest

import mase
from tests.cli.conftest import MaseOpt

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def command(config: Path) -> list[str]:
    """The words after ``ch`` in the first line."""
    program, *words = shlex.split(config.read_text().splitlines()[0].removeprefix("# "))
    assert program == "ch"
    assert words[words.index("--config") + 1] == f"configs/{config.name}"
    return words


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_it_runs_as_its_first_line_says(ch: MaseOpt, config: Path) -> None:
    words = command(config)
    if "--load" in words:
        made = ch(
            "train", "toy", "toy-tiny", "--max-epochs", "1", "--report-to", "none", "--project", "first"
        )
        assert made.status == 0, made.err
    done = ch(*words)
    assert done.status == 0, done.err
    assert "warning" not in done.err
    action = {"train": "", "transform": "transform/", "search": "search_ckpts/"}[words[0]]
    graph = mase.load(f"{done.out.strip()}/software/{action}graph.toml")
    assert graph.header.history


def test_what_a_recipe_says_is_what_holds(ch: MaseOpt) -> None:
    config = tomllib.loads(Path("configs/recipe.toml").read_text())
    done = ch(*command(Path("configs/recipe.toml")), "--max-epochs", "1")
    assert done.status == 0, done.err
    [record] = Path().glob("mase_output/*/software/training_ckpts/run.json")
    settings = json.loads(record.read_text())["settings"]
    for key, value in config["passes"]["train"].items():
        assert settings[key] == value
    assert (settings["precision"], settings["optimizer"]) == ("bf16-mixed", "sgd")
