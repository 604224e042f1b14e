"""Every public name explains itself, and the names that ``import mase`` offers show an example that runs."""

import dataclasses
import importlib
import inspect
import pkgutil
from functools import cache

import pytest

import mase


@cache
def modules() -> list[str]:
    """Give the names of all modules of mase that may be imported without running a program."""
    found = [m.name for m in pkgutil.walk_packages(mase.__path__, "mase.")]
    return ["mase", *(name for name in found if not name.endswith(".__main__"))]


def has_docstring(name: str, value: object) -> bool:
    """Tell whether a docstring was written for a value, not inherited or made up by Python."""
    if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
        return True  # constants and type aliases have no place for one
    text = (value.__doc__ or "").strip()
    return bool(text) and not text.startswith(f"{name}(")  # the signature that @dataclass puts there


@pytest.mark.parametrize("module", modules())
def test_public_names_have_docstrings(module: str) -> None:
    loaded = importlib.import_module(module)
    public = getattr(loaded, "__all__", ())
    assert len(set(public)) == len(public), "a name is listed twice"
    mute = [name for name in public if not has_docstring(name, getattr(loaded, name))]
    assert not mute, f"{module}: no docstring on {', '.join(mute)}"


@pytest.mark.parametrize("name", [name for name in mase.__all__ if not name.startswith("_")])
def test_front_door_shows_examples(name: str) -> None:
    value = getattr(mase, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert ">>> " in (value.__doc__ or ""), f"the docstring of mase.{name} has no example"


def test_mute_names_are_found() -> None:
    class Mute(dict[str, int]):
        pass

    def mute() -> None: ...

    assert not has_docstring("Mute", Mute)
    assert not has_docstring("mute", mute)
    assert not has_docstring("Point", dataclasses.make_dataclass("Point", ["x"]))
    assert has_docstring("modules", modules)
    assert has_docstring("ROOT", 3)
