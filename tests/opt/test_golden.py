"""Golden tests: a file holds an input, the passes to run, and the graph or the error that must come out.

    # passes: dce,cse
    mase = 1
    ...                       the input, which may use test.op
    # ---- becomes ----       or: # ---- fails ----
    mase = 1
    ...                       the canonical text of the result, or the diagnostics

``MASE_UPDATE=1 pytest tests/opt`` writes what comes out into the files; read the diff before committing it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from mase.ir import MaseError
from mase.ir.text import dumps, loads
from mase.passes import Pipeline
from tests.opt import dialect

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.toml"))
PASSES = re.compile(r"^# passes: (.*)\n", re.MULTILINE)
MARK = re.compile(r"^# ---- (becomes|fails) ----\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A golden file in its parts."""

    passes: str
    given: str
    outcome: str
    expected: str


def read(text: str) -> Case:
    """Take a golden file apart."""
    passes = PASSES.search(text)
    parts = MARK.split(text)
    assert passes, "no line '# passes: ...'"
    assert len(parts) == 3, "expected one line '# ---- becomes ----' or '# ---- fails ----'"
    return Case(passes[1], parts[0], parts[1], parts[2])


def run(case: Case) -> tuple[str, str]:
    """Give the outcome and the text of a case."""
    try:
        return "becomes", dumps(Pipeline(case.passes).run(loads(case.given, file="input")))
    except MaseError as error:
        return "fails", f"{error}\n"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_golden(file: Path) -> None:
    assert dialect.Probe.name == "test.op"
    text = file.read_text(encoding="utf-8")
    case = read(text)
    outcome, result = run(case)
    if os.environ.get("MASE_UPDATE"):
        file.write_text(f"{case.given}# ---- {outcome} ----\n{result}", encoding="utf-8")
        return
    assert (outcome, result) == (case.outcome, case.expected)


@pytest.mark.parametrize(
    "text", ["mase = 1\n", "# passes: dce\nmase = 1\n", "# ---- becomes ----\nmase = 1\n"]
)
def test_incomplete_file_is_no_case(text: str) -> None:
    with pytest.raises(AssertionError):
        read(text)


def test_there_are_cases() -> None:
    assert FILES
