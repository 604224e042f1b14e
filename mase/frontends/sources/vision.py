"""``timm:NAME`` and ``torchvision:NAME``: image models by the names of their libraries."""

from __future__ import annotations

from typing import Any

from mase.frontends.recipe import Built, Recipe, register_source
from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.optional import load_optional

__all__ = ["timm_source", "torchvision_source"]


@register_source("timm")
def timm_source(recipe: Recipe) -> Built:
    """Build ``timm.create_model(NAME, pretrained=..., **args)``.

    Raises:
        MaseError: if timm does not load, has no such model, or the arguments do not fit.
    """
    timm = _library("timm")
    _check_name(recipe, timm.list_models())
    model = _made(recipe, lambda: timm.create_model(recipe.target, recipe.pretrained, **recipe.args))
    channels, height, width = model.default_cfg["input_size"]
    return Built(model, recipe.target, {"x": f"f32[N,{channels},{height},{width}]"})


@register_source("torchvision")
def torchvision_source(recipe: Recipe) -> Built:
    """Build ``torchvision.models.get_model(NAME, weights=..., **args)``.

    Raises:
        MaseError: if torchvision does not load, has no such model, or the arguments do not fit.
    """
    models = _library("torchvision").models
    _check_name(recipe, models.list_models())
    weights = "DEFAULT" if recipe.pretrained else None
    model = _made(recipe, lambda: models.get_model(recipe.target, weights=weights, **recipe.args))
    return Built(model, recipe.target, {"x": "f32[N,3,224,224]"})


def _library(name: str) -> Any:
    try:
        return load_optional(name)
    except ImportError as error:
        raise MaseError.of(
            f"[model] source: {name} does not load: {error}",
            help="pip install 'mase[vision]'; torchvision must be built for the installed torch",
        ) from None


def _check_name(recipe: Recipe, known: list[str]) -> None:
    if recipe.target.partition(".")[0] not in known and recipe.target not in known:
        raise MaseError.of(
            f"[model] source: {recipe.kind} has no model {recipe.target!r}",
            help=did_you_mean(recipe.target, known),
        )


def _made(recipe: Recipe, make: Any) -> Any:
    try:
        return make()
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise MaseError.of(
            f"[model] source: {recipe.source} fails with {type(error).__name__}: {error}",
            help="check [model] args; pretrained weights come over the network",
        ) from None
