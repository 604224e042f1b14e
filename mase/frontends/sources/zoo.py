"""``zoo:NAME``: the models that mase ships."""

from __future__ import annotations

from mase.frontends.recipe import Built, Recipe, register_source
from mase.frontends.sources.calling import call_user_code
from mase.frontends.zoo import find_model, load_pretrained

__all__ = ["zoo_source"]


@register_source("zoo")
def zoo_source(recipe: Recipe) -> Built:
    """Build a model of the zoo.

    Raises:
        MaseError: if there is none of the name, its arguments do not fit, or it has no trained weights.
    """
    entry = find_model(recipe.target)
    model = call_user_code(entry, recipe.args, f"zoo:{recipe.target}")
    if recipe.pretrained:
        load_pretrained(recipe.target, model)
    # A model whose arguments say how wide its inputs are has them on the instance.
    return Built(model, recipe.target, getattr(model, "inputs", {}))
