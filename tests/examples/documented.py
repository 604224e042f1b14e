"""Running what the head of an example tells its reader to type."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from examples.packaged.fetch import main as fetch
from mase.cli.opt import main as mase_opt

__all__ = ["commands", "follow"]

ROOT = Path(__file__).parents[2]


def commands(recipe: Path) -> list[list[str]]:
    """The commands in the comment at the head of a recipe: what stands four spaces into it."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    indented = "\n".join(line[1:].strip() for line in head if line.startswith("#     "))
    return [shlex.split(command) for command in indented.replace("\\\n", " ").splitlines()]


def follow(
    example: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *further: str,
) -> list[str]:
    """Run the commands of an example in an empty folder beside the examples, as a reader does.

    Args:
        example: the recipe below ``examples/``.
        folder: an empty folder, the working directory from now on.
        monkeypatch: changes the directory, and has nothing downloaded.
        capsys: what is printed.
        further: arguments for each ``mase-opt``, to make the example smaller.

    Returns:
        What each command of ``mase-opt`` wrote to standard error.
    """
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    printed: list[str] = []
    for program, *arguments in commands(folder / "examples" / example):
        if program == "python":
            assert arguments[0] == "examples/packaged/fetch.py"
            assert fetch(arguments[1:]) == 0
        else:
            assert program == "mase-opt"
            assert mase_opt([*arguments, *further]) == 0
            printed.append(capsys.readouterr().err)
    print(*printed)  # what was measured is seen when the test fails, or with -rP
    assert printed
    return printed
