"""The ``[model]`` table, and the kinds of sources that understand it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mase.frontends.examples import seeded
from mase.ir.diagnostics import MaseError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from mase.ir.graph import Graph

__all__ = ["Built", "Recipe", "build", "register_source", "source_kinds"]


_GIVEN = ("options", "base_dir", "data")
"""Fields of `Recipe` that are no keys of ``[model]``."""


@dataclass(frozen=True)
class Recipe:
    """The ``[model]`` table.

    Args:
        source: where the model comes from, such as ``zoo:toy``.
        args: keyword arguments for what makes it.
        inputs: the type of each example input by name, ``{"x": "f32[N,1,8,8]"}``.
        tracer: ``export`` or ``fx``.
        opaque: paths of modules to keep whole.
        seed: seeds the weights and the example inputs; the global random state stays as it is.
        pretrained: whether the weights are to be trained ones.
        name: the graph's name; by default the source's.
        options: further keys, for the kind of source that knows them.
        base_dir: the folder that relative file names start from.
        data: the data set that the model is for, or None. What the recipe leaves open, a source reads
            there: ``input_type`` or ``input_types``, ``task``, ``num_classes``, ``tokenizer``.
    """

    source: str
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    tracer: str = "export"
    opaque: list[str] = field(default_factory=list[str])
    seed: int = 0
    pretrained: bool = False
    name: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    base_dir: Path = Path()
    data: Any = None

    @classmethod
    def of(cls, table: Mapping[str, Any], base_dir: Path | None = None, data: Any = None) -> Recipe:
        """Read a ``[model]`` table.

        Raises:
            MaseError: if a value has the wrong type or there is no source.

        Example:
            >>> recipe = Recipe.of({"source": "zoo:toy", "args": {"hidden": 20}})
            >>> recipe.kind, recipe.target
            ('zoo', 'toy')
        """
        kinds = {f.name: str(f.type).partition("[")[0] for f in fields(cls) if f.name not in _GIVEN}
        for key, value in table.items():
            if key in kinds and type(value).__name__ != kinds[key]:
                raise MaseError.of(f"[model] {key}: expected a {kinds[key]}, found {value!r}")
        if not table.get("source"):
            raise MaseError.of("[model] names no source", help='write, for example, source = "zoo:toy"')
        known = {k: v for k, v in table.items() if k in kinds}
        rest = {k: v for k, v in table.items() if k not in kinds}
        return cls(**known, options=rest, base_dir=base_dir or Path(), data=data)

    @property
    def kind(self) -> str:
        """What stands before the colon: ``zoo``; for one's own code ``file`` or ``module``."""
        head = self.source.partition(":")[0]
        if head.endswith(".py"):
            return "file"
        return "module" if "." in head or head not in _SOURCES else head

    @property
    def target(self) -> str:
        """What stands after the colon."""
        return self.source.partition(":")[2]


@dataclass(frozen=True)
class Built:
    """A model out of a recipe.

    Args:
        model: the model; None where the source gives a graph.
        name: what the graph is called unless the recipe says.
        inputs: the types of its inputs, if the source knows them.
        source: the source as another folder would have to write it; empty if it is the same.
        settled: keys of ``[model]`` that the recipe left open and the data set decided.
        graph: the graph itself, from a source that holds no module of PyTorch.
    """

    model: nn.Module | None
    name: str
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    source: str = ""
    settled: Mapping[str, Any] = field(default_factory=dict[str, Any])
    graph: Graph | None = None


Builder = Callable[[Recipe], Built]
B = TypeVar("B", bound=Builder)


@dataclass(frozen=True)
class _Source:
    module: str
    """Imported to get the builder."""
    options: tuple[str, ...] = ()


_SOURCES: dict[str, _Source] = {
    "zoo": _Source("mase.frontends.sources.zoo"),
    "hf": _Source("mase.frontends.sources.huggingface", ("task", "config")),
    "onnx": _Source("mase.frontends.sources.onnx"),
    "timm": _Source("mase.frontends.sources.vision"),
    "torchvision": _Source("mase.frontends.sources.vision"),
    "file": _Source("mase.frontends.sources.python"),
    "module": _Source("mase.frontends.sources.python"),
}
_BUILDERS: dict[str, Builder] = {}


def register_source(kind: str, *, options: tuple[str, ...] = ()) -> Callable[[B], B]:
    """Let the decorated function build the models of ``kind:...``.

    Args:
        kind: what stands before the colon.
        options: keys of ``[model]`` that it takes from `Recipe.options`.

    Example:
        >>> @register_source("doc")
        ... def doc_source(recipe):
        ...     from torch import nn
        ...     return Built(nn.Linear(2, int(recipe.target)), "doc", {"input": "f32[N,2]"})
        >>> build(Recipe.of({"source": "doc:3"})).model
        Linear(in_features=2, out_features=3, bias=True)
    """

    def add(builder: B) -> B:
        _SOURCES[kind] = _Source(builder.__module__, options)
        _BUILDERS[kind] = builder
        return builder

    return add


def source_kinds() -> list[str]:
    """What may stand before the colon of a source.

    Example:
        >>> "zoo" in source_kinds()
        True
    """
    return sorted(_SOURCES)


def build(recipe: Recipe) -> Built:
    """Build the model that a recipe names, with its seed.

    Raises:
        MaseError: if the source or an option is unknown, or what the source names is missing or fails.
    """
    head, colon, _ = recipe.source.partition(":")
    kinds = sorted({*_SOURCES} - {"file", "module"})
    if not colon or (recipe.kind == "module" and head in ("file", "module")):
        raise MaseError.of(
            f"[model] source {recipe.source!r} has no kind",
            help=f"write zoo:NAME, package.module:callable or file.py:callable (kinds: {', '.join(kinds)})",
        )
    if recipe.kind not in _BUILDERS:
        import_module(_SOURCES[recipe.kind].module)
    allowed = _SOURCES[recipe.kind].options
    for key in recipe.options:
        if key not in allowed:
            known = [f.name for f in fields(Recipe) if f.name not in _GIVEN]
            raise MaseError.of(
                f"[model] has an unknown key {key!r}", help=did_you_mean(key, [*known, *allowed])
            )
    with seeded(recipe.seed):
        return _BUILDERS[recipe.kind](recipe)
