"""The layers of mase, and the few rules of hygiene that a reader of the source relies on.

The rules are functions from source text to complaints, so that the last tests can show that each one bites.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "mase").rglob("*.py"))
MAX_LINES = 400

#: cli → passes → (runtime, frontends) → ir
MAY_IMPORT = MappingProxyType(
    {
        "ir": {"ir"},
        "runtime": {"runtime", "ir"},
        "frontends": {"frontends", "ir"},
        "passes": {"passes", "runtime", "frontends", "ir"},
        "cli": {"cli", "passes", "ir"},
        "": {
            "",
            "cli",
            "passes",
            "runtime",
            "frontends",
            "ir",
        },  # mase/__init__.py and mase/api.py, the public face
    }
)
HEAVY = frozenset({"torch", "numpy", "onnx", "transformers", "pytorch_lightning", "torchmetrics", "sklearn"})
UNSAFE = frozenset({"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"})

# ----------------------------------------------------------------------------------------- reading imports


def module_name(path: Path) -> str:
    """Give the dotted name of a source file, ``__init__`` included: relative imports count from it."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def layer(module: str) -> str | None:
    """Give the layer of a module of mase (``""`` at the top), ``None`` for everybody else's modules."""
    package, *rest = module.split(".")
    if package != "mase":
        return None
    return rest[0] if rest and rest[0] in MAY_IMPORT else ""


def imported(node: ast.AST, module: str) -> list[str]:
    """Give the absolute names of the modules that one statement imports."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=base, names=names, level=level):
            parents = module.split(".")[:-level] if level else []
            base = ".".join([*parents, *([base] if base else [])])
            # `from mase import ir` imports mase.ir, not mase.
            return [f"mase.{alias.name}" for alias in names] if base == "mase" else [base]
        case ast.Constant(value=str(text)) if re.fullmatch(r"mase(\.\w+)+", text) and layer(text):
            return [text]  # a name for importlib, as in a table of lazily imported modules
        case _:
            return []


def eager(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when a module is imported: no function body, no ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from eager(child)


# ----------------------------------------------------------------------------------------------- the rules


def check_layers(source: str, module: str) -> Iterator[str]:
    """A layer imports only what the layers below it offer, be it in a function or for a type checker."""
    own = layer(module) or ""
    for node in ast.walk(ast.parse(source)):
        for name in imported(node, module):
            if (other := layer(name)) is not None and other not in MAY_IMPORT[own]:
                yield f"{own or 'mase'} may not import {name}"


def check_light(source: str, module: str) -> Iterator[str]:
    """The IR and the front door load no heavy package before it is used."""
    if layer(module) not in {"ir", ""}:
        return
    for node in eager(ast.parse(source)):
        for name in imported(node, module):
            if name.partition(".")[0] in HEAVY:
                yield f"{name} is imported at module level"


def check_safe(source: str, module: str) -> Iterator[str]:
    """Reading a file never runs code: no pickle under any of its names."""
    for node in ast.walk(ast.parse(source)):
        for name in imported(node, module):
            if name.partition(".")[0] in UNSAFE:
                yield f"{name} can run code on load"
        if isinstance(node, ast.Call):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if ast.unparse(node.func) == "torch.load" and keywords.get("weights_only") != "True":
                yield "torch.load without weights_only=True"
            if keywords.get("allow_pickle", "False") != "False":
                yield "allow_pickle"


def check_length(source: str, module: str) -> Iterator[str]:
    """A file fits in a head."""
    if (lines := len(source.splitlines())) > MAX_LINES:
        yield f"{lines} lines; split it by concept, {MAX_LINES} are the most"


Rule = Callable[[str, str], Iterator[str]]
RULES: tuple[Rule, ...] = (check_layers, check_light, check_safe, check_length)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_source_obeys(rule: Rule) -> None:
    assert SOURCES
    complaints = [
        f"{path.relative_to(ROOT)}: {complaint}"
        for path in SOURCES
        for complaint in rule(path.read_text(encoding="utf-8"), module_name(path))
    ]
    assert not complaints, "\n".join(complaints)


def test_every_folder_of_sources_is_a_package() -> None:
    """Without ``__init__.py`` a folder imports all the same, but whoever walks the packages misses it."""
    bare = {path.parent for path in SOURCES if not (path.parent / "__init__.py").exists()}
    assert not bare, sorted(str(folder.relative_to(ROOT)) for folder in bare)


# --------------------------------------------------------------------------------------- what really loads


@pytest.mark.parametrize(
    "program",
    [
        "import mase",
        "import mase.ir",
        "import mase.cli.opt, contextlib\n"
        "with contextlib.suppress(SystemExit): mase.cli.opt.main(['--help'])",
    ],
    ids=["mase", "mase.ir", "mase-opt --help"],
)
def test_loads_no_heavy_package(program: str) -> None:
    report = "import sys; print('LOADED', *(name for name in sys.modules if '.' not in name))"
    run = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    loaded = run.stdout.rpartition("LOADED")[2].split()
    assert "mase" in loaded
    assert not HEAVY.intersection(loaded)


# ------------------------------------------------------------------------------------------ the rules bite


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (check_layers, "mase.ir.graph", "from mase.passes import base"),
        (check_layers, "mase.ir.graph", "from mase import runtime"),
        (check_layers, "mase.ir.graph", "from .. import runtime"),
        (check_layers, "mase.ir.graph", "import mase"),
        (check_layers, "mase.ir.__init__", "from ..runtime import lower"),
        (check_layers, "mase.runtime.lower", "def f():\n    from mase.passes.base import Context"),
        (check_layers, "mase.runtime.lower", "if TYPE_CHECKING:\n    import mase.frontends.capture"),
        (check_layers, "mase.frontends.capture", "LAZY = {'lower': 'mase.runtime.lower'}"),
        (check_layers, "mase.passes.base", "import mase.cli"),
        (check_layers, "mase.cli.opt", "import mase.runtime.lower"),
        (check_light, "mase.ir.state", "import torch.nn"),
        (check_light, "mase.ir.state", "try:\n    from numpy import array\nexcept ImportError: ..."),
        (check_light, "mase.ir.state", "class A:\n    import torch"),
        (check_light, "mase.__init__", "import torch"),
        (check_safe, "mase.ir.state", "from pickle import loads"),
        (check_safe, "mase.ir.state", "def f():\n    import joblib"),
        (check_safe, "mase.runtime.trainer", "torch.load(path)"),
        (check_safe, "mase.runtime.trainer", "torch.load(path, weights_only=False)"),
        (check_safe, "mase.runtime.data", "np.load(path, allow_pickle=True)"),
        (check_length, "mase.ir.graph", "\n" * 401),
    ],
)
def test_rule_rejects(rule: Rule, module: str, source: str) -> None:
    assert list(rule(source, module))


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (check_layers, "mase.ir.graph", "from . import op\nfrom .op import Op\nimport mase.ir.types"),
        (check_layers, "mase.ir.ops.nn", "NAME = 'mase.linear_integer'"),
        (check_layers, "mase.passes.base", "from mase.ir import Graph\nimport mase.runtime.lower"),
        (check_light, "mase.ir.state", "if TYPE_CHECKING:\n    import torch\ndef f():\n    import numpy"),
        (check_light, "mase.runtime.lower", "import torch"),
        (check_safe, "mase.runtime.trainer", "torch.load(path, weights_only=True)"),
        (check_length, "mase.ir.graph", "\n" * 400),
    ],
)
def test_rule_accepts(rule: Rule, module: str, source: str) -> None:
    assert not list(rule(source, module))
