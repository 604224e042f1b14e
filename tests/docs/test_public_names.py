"""Every public name explains itself, and the names that ``import mase`` offers show an example that runs."""

import importlib
import inspect
import pkgutil
from functools import cache

import pytest

import mase


@cache
def modules() -> list[str]:
    """Give the names of all modules of mase."""
    return ["mase", *(found.name for found in pkgutil.walk_packages(mase.__path__, "mase."))]


def explanation(name: str, value: object) -> str:
    """Give the docstring written for a value, not one that it inherits or that Python makes up."""
    if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
        value = type(value)  # a constant: its class explains it
    text = value.__doc__ or ""
    return "" if text.startswith(f"{name}(") else text  # the signature that @dataclass puts there


@pytest.mark.parametrize("module", modules())
def test_public_names_have_docstrings(module: str) -> None:
    loaded = importlib.import_module(module)
    public = getattr(loaded, "__all__", ())
    assert len(set(public)) == len(public), "a name is listed twice"
    mute = [name for name in public if not explanation(name, getattr(loaded, name)).strip()]
    assert not mute, f"{module}: no docstring on {', '.join(mute)}"


@pytest.mark.parametrize("name", [name for name in mase.__all__ if not name.startswith("_")])
def test_front_door_shows_examples(name: str) -> None:
    value = getattr(mase, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert ">>> " in (value.__doc__ or ""), f"the docstring of mase.{name} has no example"


def test_explanation_is_not_inherited() -> None:
    class Mute(list[int]):
        pass

    def mute() -> None: ...

    assert not explanation("Mute", Mute)
    assert not explanation("mute", mute)
    assert not explanation("Point", type("Point", (), {"__doc__": "Point(x: int)"}))
    assert explanation("modules", modules)
