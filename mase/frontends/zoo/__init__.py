"""The models that mase ships, for examples and tests; each says which inputs it takes.

A model joins with `register_model` in a file of this package that `_HOMES` names. Those of third parties do
so in a module that an entry point of the group ``mase.models`` names, or in a file that the user loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar

from mase.ir.diagnostics import MaseError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["find_model", "load_pretrained", "model_names", "register_model"]

M = TypeVar("M", bound="type[nn.Module]")

# Where each model is; the file is imported when the model is asked for.
_HOMES = {
    "digits-cnn": "mase.frontends.zoo.digits",
    "digits-mlp": "mase.frontends.zoo.digits",
    "digits-residual": "mase.frontends.zoo.digits",
    "jet-tagging": "mase.frontends.zoo.mlp",
    "lenet": "mase.frontends.zoo.lenet",
    "mlp": "mase.frontends.zoo.mlp",
    "resnet8": "mase.frontends.zoo.resnet8",
    "toy": "mase.frontends.zoo.toy",
    "toy-manual": "mase.runtime.modules.toy_manual:ToyManual",
    "toy-tiny": "mase.frontends.zoo.toy",
}
_MODELS: dict[str, type[nn.Module]] = {}


def register_model(name: str, *, inputs: Mapping[str, str]) -> Callable[[M], M]:
    """Make a module class a model of the zoo.

    Args:
        name: what follows ``zoo:``.
        inputs: the type of each input by name, ``{"x": "f32[N,4]"}``.
    """

    def register(cls: M) -> M:
        cls.inputs = dict(inputs)  # type: ignore[attr-defined]
        _MODELS[name] = cls
        return cls

    return register


def model_names() -> list[str]:
    """Every model's name.

    Example:
        >>> "toy" in model_names()
        True
    """
    _load_plugins()
    return sorted({*_HOMES, *_MODELS})


def find_model(name: str) -> type[nn.Module]:
    """The class of a model.

    Raises:
        MaseError: if the zoo has none of this name.

    Example:
        >>> find_model("toy-tiny").inputs
        {'x': 'f32[N,1,2,2]'}
        >>> find_model("toi")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: the zoo has no model 'toi'
          help: did you mean 'toy'?
    """
    if name not in _MODELS and name not in _HOMES:
        _load_plugins()
    if name not in _MODELS:
        if name not in _HOMES:
            raise MaseError.of(f"the zoo has no model {name!r}", help=did_you_mean(name, model_names()))
        home, _, attribute = _HOMES[name].partition(":")
        module = import_module(home)
        if attribute:
            _MODELS[name] = getattr(module, attribute)
    return _MODELS[name]


@cache
def _load_plugins() -> None:
    for entry_point in entry_points(group="mase.models"):
        entry_point.load()


def load_pretrained(name: str, model: nn.Module) -> None:
    """Fill a model with the trained weights that mase ships for it.

    Raises:
        MaseError: if there are none, or they do not fit the model's arguments.
    """
    from safetensors.torch import load

    file = files(__name__) / "weights" / f"{name}.safetensors"
    if not file.is_file():
        raise MaseError.of(f"zoo:{name} has no trained weights", help="leave out pretrained, and train it")
    try:
        model.load_state_dict(load(file.read_bytes()))
    except RuntimeError:
        raise MaseError.of(
            f"the trained weights of zoo:{name} do not fit its args", help="leave out args or pretrained"
        ) from None
