"""Passes register, are found lazily, and never take each other's names."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from mase.ir import Graph, MaseError, UsageError
from mase.passes import Context, declare_passes, get_pass, load_file, pass_names, register_pass, rewrite
from mase.passes.builtin import BUILTIN

ROOT = Path(__file__).parents[2]
PASS = """\
from mase.passes import register_pass

@register_pass("{name}")
def mine(graph, ctx, *, limit: float = 1.0):
    '''Mine.'''
"""


def write(folder: Path, text: str, name: str = "my_passes.py") -> Path:
    """Write a file of passes."""
    file = folder / name
    file.write_text(dedent(text), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", [name for names in BUILTIN.values() for name in names])
def test_builtin_passes_load(name: str) -> None:
    made = get_pass(name)
    assert made.name == name
    assert made.summary.endswith("."), "the first line of a pass's documentation is a sentence"
    undocumented = [option.name for option in made.options.values() if not option.doc]
    assert not undocumented, "options are documented under Args"


def test_passes_load_without_torch() -> None:
    program = (
        "import sys; from mase.passes import get_pass, pass_names\n"
        "for name in pass_names(): get_pass(name).options\n"
        "print(*(m for m in ('torch', 'numpy', 'pytorch_lightning') if m in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


def test_the_decorated_thing_is_unchanged() -> None:
    def double(graph: Graph, ctx: Context) -> None:
        """Double."""

    assert register_pass("test-double")(double) is double
    assert "test-double" in pass_names()
    register_pass("test-double")(double)


def test_a_class_becomes_a_dataclass() -> None:
    @register_pass("test-class")
    class Rules:
        """Rules."""

        limit: int = 3

        @rewrite()
        def change(self, node: object, rewriter: object) -> None: ...

    assert Rules() == Rules(limit=3)
    assert list(get_pass("test-class").options) == ["limit"]


def test_a_dataclass_stays_one() -> None:
    @register_pass("test-dataclass")
    @dataclass(frozen=True)
    class Run:
        """Run."""

        limit: int = 3

        def run(self, graph: Graph, ctx: Context) -> None: ...

    assert Run(4).limit == 4


def test_names_are_kebab_case() -> None:
    with pytest.raises(MaseError, match="'Not_Kebab' is no name for a pass"):

        @register_pass("Not_Kebab")
        def function(graph: Graph, ctx: Context) -> None: ...


def test_what_is_no_pass_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must take \(graph, ctx, \*, options...\)"):
        register_pass("test-bad")(lambda graph: None)
    with pytest.raises(TypeError, match=r"neither a @rewrite method nor run"):
        register_pass("test-bad")(type("Empty", (), {}))


def test_builtin_names_are_taken(tmp_path: Path) -> None:
    with pytest.raises(MaseError) as caught:
        load_file(write(tmp_path, PASS.format(name="quantize")))
    assert "my_passes.py:3: error: a pass 'quantize' exists already, in " in str(caught.value)
    assert "quantize.py" in str(caught.value) or "transforms.quantize" in str(caught.value)


def test_two_files_cannot_share_a_name(tmp_path: Path) -> None:
    load_file(write(tmp_path, PASS.format(name="test-mine"), "first.py"))
    load_file(tmp_path / "first.py")
    with pytest.raises(MaseError, match=r"a pass 'test-mine' exists already, in .*first\.py:3"):
        load_file(write(tmp_path, PASS.format(name="test-mine"), "second.py"))


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "LIMIT = 2.5\n", "neighbour_of_test.py")
    source = "from neighbour_of_test import LIMIT\n" + PASS.format(name="test-limit").replace("1.0", "LIMIT")
    load_file(write(tmp_path, source))
    assert get_pass("test-limit").options["limit"].default == 2.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef f(:\n", r"my_passes.py:2: error: syntax error, .*: def f\(:"),
        (
            "x = 1\n\n1 / 0\n",
            "my_passes.py:3: error: the file does not run: ZeroDivisionError: division by zero",
        ),
        ("import no_such_thing\n", "my_passes.py:1: error: the file does not run: ModuleNotFoundError"),
    ],
)
def test_broken_files_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MaseError, match=message):
        load_file(write(tmp_path, text))


def test_missing_file() -> None:
    with pytest.raises(UsageError, match=r"there is no file 'nowhere\.py'"):
        load_file("nowhere.py")


def test_declared_passes_that_do_not_load() -> None:
    declare_passes({"test-absent": "no_such_module", "test-silent": "mase.passes.grammar"})
    with pytest.raises(MaseError, match="pass 'test-absent' does not load: No module named 'no_such_module'"):
        get_pass("test-absent")
    with pytest.raises(MaseError, match="declares the pass 'test-silent' but does not register it"):
        get_pass("test-silent")
    from mase.cli.listing import list_passes

    assert "(pass 'test-absent' does not load" in list_passes()
