"""Every code block of the documentation runs, as its reader would run it, in an empty folder.

The ``python`` blocks of a page are one script. Then ``bash`` blocks run as they are and ``console`` blocks by
their ``$`` lines, which must print the lines below them (``...`` stands for anything). A comment on the line
before a block can change that:

    <!-- test: file my_passes.py -->     save the block under this name, do not run it
    <!-- test: skip (why) -->            show it only
    <!-- test: slow -->                  run it in `make test-all` only
"""

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = {"python", "bash", "console"}
SHOWN = {"text", "toml", "json", "mermaid", "ini", "diff"}

BLOCK = re.compile(
    r"^(?:<!-- test: (?P<verb>skip|slow|file) ?(?P<argument>[^\n]*?) -->\n+)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    verb: str
    argument: str

    @property
    def runs(self) -> bool:
        return self.language in RUNNABLE and self.verb in {"", "slow"}


def blocks(markdown: str) -> Iterator[Block]:
    """Find the fenced blocks of a page."""
    for match in BLOCK.finditer(markdown):
        fields = {name: value or "" for name, value in match.groupdict().items()}
        yield Block(line=markdown.count("\n", 0, match.start("text")), **fields)


def run(command: list[str], folder: Path) -> str:
    """Run a command in ``folder`` with this environment's scripts on the PATH, and give what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"$ {shlex.join(command)}\n{done.stdout}"
    return done.stdout


def run_console(text: str, folder: Path) -> None:
    """Run each ``$`` line of a transcript and compare what it prints, where the transcript says what."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = step.replace("\\\n", " ").partition("\n")
        printed = run(["bash", "-c", command], folder)
        if expected.strip():
            same = doctest.OutputChecker().check_output(expected, printed, flags)
            assert same, f"$ {command}\nexpected:\n{expected}\nprinted:\n{printed}"


def run_page(name: str, markdown: str, folder: Path, *, slow: bool) -> None:
    """Run the blocks of a page in ``folder``; the slow ones only if asked."""
    found = list(blocks(markdown))
    for block in found:
        if block.verb == "file":
            (folder / block.argument).write_text(block.text, encoding="utf-8")
    chosen = [block for block in found if block.runs and (slow or block.verb != "slow")]

    script = ""
    for block in chosen:
        if block.language == "python":  # on its own line of the page, so that a traceback points there
            script += "\n" * (block.line - script.count("\n")) + block.text
    if script:
        (folder / f"{name}.py").write_text(script, encoding="utf-8")
        run([sys.executable, f"{name}.py"], folder)

    for block in chosen:
        if block.language == "bash":
            run(["bash", "-euo", "pipefail", "-c", block.text], folder)
        elif block.language == "console":
            run_console(block.text, folder)


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """Give a folder with what a reader has: the examples and configurations, and nothing else."""
    for name in ("configs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name, target_is_directory=True)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs(page: Path, reader: Path) -> None:
    run_page(page.stem, page.read_text(encoding="utf-8"), reader, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs_with_slow_blocks(page: Path, reader: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if not any(block.runs and block.verb == "slow" for block in blocks(text)):
        pytest.skip("no slow block")
    run_page(page.stem, text, reader, slow=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_marks_its_blocks(page: Path) -> None:
    """No block escapes because of a typing mistake, and a skipped one says why."""
    text = page.read_text(encoding="utf-8")
    found = list(blocks(text))
    assert text.count("```") == 2 * len(found), "a fence is not closed, or is indented"
    assert text.count("<!-- test:") == sum(bool(block.verb) for block in found), "a mark is not understood"
    for block in found:
        assert block.language in RUNNABLE | SHOWN, f"line {block.line}: no known language"
        if block.verb == "skip":
            assert re.fullmatch(r"\(.+\)", block.argument), f"line {block.line}: skipped, but why?"


# ----------------------------------------------------------------------------------- the tests above can fail


@pytest.mark.parametrize(
    "markdown",
    [
        "```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n",
        "```bash\nfalse\ntrue\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "<!-- test: slow -->\n```bash\nfalse\n```\n",
    ],
)
def test_broken_page_fails(markdown: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run_page("page", markdown, tmp_path, slow=True)


@pytest.mark.parametrize(
    "markdown",
    [
        "```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n",
        "<!-- test: file a.py -->\n```python\nraise SystemExit(3)\n```\n\n```bash\ntest -e a.py\n```\n",
        "<!-- test: skip (why not) -->\n```bash\nfalse\n```\n",
        "<!-- test: slow -->\n\n```bash\nfalse\n```\n",
        "```console\n$ echo one; echo two; \\\n  echo three\none\n...\nthree\n```\n",
    ],
)
def test_sound_page_passes(markdown: str, tmp_path: Path) -> None:
    run_page("page", markdown, tmp_path, slow=False)


def test_traceback_names_the_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r'page\.py", line 4'):
        run_page("page", "# Title\n\n```python\nraise ValueError\n```\n", tmp_path, slow=False)
