"""``onnx:FILE``: models of other tools, float or quantized."""

from __future__ import annotations

from mase.frontends.recipe import Built, Recipe, register_source
from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["onnx_source"]


@register_source("onnx")
def onnx_source(recipe: Recipe) -> Built:
    """Read a model; a relative name starts from the recipe's folder.

    Raises:
        MaseError: if the file is missing or damaged, or holds operators that no rule reads.
    """
    from pathlib import Path

    from mase.frontends.onnx.reader import read_onnx

    places = (recipe.base_dir / recipe.target, Path(recipe.target))
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        beside = sorted(p.name for p in places[0].parent.glob("*.onnx"))
        raise MaseError.of(
            f"[model] source: there is no file {places[0]}",
            help=did_you_mean(Path(recipe.target).name, beside),
        )
    for key in ("args", "inputs", "opaque"):
        if getattr(recipe, key):
            raise MaseError.of(f"[model] {key}: onnx: takes none", help="the file says it all")
    return Built(None, path.stem, source=f"onnx:{path}", graph=read_onnx(path))
