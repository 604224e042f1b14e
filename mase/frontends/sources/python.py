"""``package.module:callable`` and ``file.py:callable``: one's own models."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mase.frontends.locations import culprit_location
from mase.frontends.recipe import Built, Recipe, register_source
from mase.frontends.sources.calling import call_user_code
from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["file_source", "module_source"]


@register_source("module")
def module_source(recipe: Recipe) -> Built:
    """Build what ``package.module:callable`` makes; the working directory counts as a place of packages.

    Raises:
        MaseError: if the module or the callable is missing, or fails.
    """
    name = recipe.source.partition(":")[0]
    try:
        sys.path.insert(0, str(Path.cwd()))
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        ours = name == missing or name.startswith(f"{missing}.")
        raise MaseError.of(
            f"[model] source: there is no module {missing!r}" + ("" if ours else f", which {name} imports"),
            help="install its package, or name a file: file.py:callable" if ours else f"install {missing}",
        ) from None
    except Exception as error:
        raise _import_error(name, error) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return _built(recipe, module, "")


@register_source("file")
def file_source(recipe: Recipe) -> Built:
    """Build what ``file.py:callable`` makes; a relative name starts from the recipe's folder.

    Raises:
        MaseError: if the file or the callable is missing, or fails.
    """
    name = recipe.source.partition(":")[0]
    path = next((p for p in (recipe.base_dir / name, Path(name)) if p.is_file()), None)
    if path is None:
        beside = sorted(p.name for p in (recipe.base_dir / name).parent.glob("*.py"))
        raise MaseError.of(
            f"[model] source: there is no file {recipe.base_dir / name}",
            help=did_you_mean(Path(name).name, beside) or "the name starts from the folder of the graph.toml",
        )
    return _built(recipe, _load(path), f"{_from_here(path)}:{recipe.target}")


def _from_here(path: Path) -> str:
    """The name by which the working directory finds the file, wherever the graph is written to."""
    here, there = Path.cwd(), path.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else path.as_posix()


def _load(path: Path) -> ModuleType:
    """Run a file as a module, once; its folder is where it imports from."""
    path = path.resolve()
    for module in list(sys.modules.values()):
        if getattr(module, "__mase_source__", None) == (path, path.stat().st_mtime_ns):
            return module
    spec = importlib.util.spec_from_file_location(_module_name(path), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__mase_source__"] = (path, path.stat().st_mtime_ns)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise _import_error(path.name, error) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _module_name(path: Path) -> str:
    """The file's own name unless a module has it already; classes and `torch.module` nodes show it."""
    stem, i = path.stem, 0
    name = stem
    while name in sys.modules or importlib.util.find_spec(name) is not None:
        i += 1
        name = f"{stem}_{i}"
    return name


def _built(recipe: Recipe, module: ModuleType, source: str) -> Built:
    entry = _attribute(module, recipe.target)
    model = call_user_code(entry, recipe.args, recipe.source)
    if recipe.pretrained:
        raise MaseError.of(
            f"[model] pretrained: {recipe.source} has to load its weights itself",
            help="load them in the callable, and pass what it needs through args",
        )
    return Built(model, recipe.target.rpartition(".")[2], getattr(entry, "inputs", {}), source)


def _attribute(module: ModuleType, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        if not part or not hasattr(value, part):
            known = [n for n in dir(value) if callable(getattr(value, n)) and not n.startswith("_")]
            where = getattr(value, "__name__", path)
            raise MaseError.of(f"[model] source: {where} has no {part!r}", help=did_you_mean(part, known))
        value = getattr(value, part)
    return value


def _import_error(what: str, error: Exception) -> MaseError:
    return MaseError.of(
        f"[model] source: importing {what} fails with {type(error).__name__}: {error}",
        source=culprit_location(error),
    )
