"""From a recipe to a model and its graph: the ``[model]`` table of a graph.toml.

A kind of source (what stands before the colon) joins with `register_source`, in one file of
`mase.frontends.sources`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.frontends.examples import dynamic_names, example_inputs, seeded
from mase.frontends.recipe import Built, Recipe, build, register_source
from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph, Header

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Built", "Recipe", "build_model", "materialise", "register_source"]


def build_model(recipe: Mapping[str, Any], base_dir: Path | None = None) -> nn.Module:
    """The model that a recipe names, built anew with the recipe's seed.

    Args:
        recipe: the ``[model]`` table.
        base_dir: the folder that relative file names start from, beside the working directory.

    Raises:
        MaseError: if the source is unknown, or what it names is missing or fails.

    Example:
        >>> build_model({"source": "zoo:toy-tiny"})
        ToyTiny(
          (fc1): Linear(in_features=4, out_features=2, bias=True)
          (relu1): ReLU()
          (fc2): Linear(in_features=2, out_features=2, bias=True)
          (relu2): ReLU()
        )
    """
    return _module(build(Recipe.of(recipe, base_dir)))


def _module(built: Built) -> nn.Module:
    if built.model is None:
        raise MaseError.of(f"{built.source} holds a graph, and no module of PyTorch")
    return built.model


def _input_types(built: Built, data: Any) -> dict[str, str]:
    """The types of the example inputs: those of the data set as far as it knows, else the source's own."""
    named: Mapping[str, str] = getattr(data, "input_types", None) or {}
    if named:
        return _taken(_module(built), named)
    types = dict(built.inputs)
    first = next(iter(types or inspect.signature(_module(built).forward).parameters), None)
    known = getattr(data, "input_type", None)
    return types | {first: known} if first and known else types


def _taken(model: nn.Module, named: Mapping[str, str]) -> dict[str, str]:
    """Those inputs that the model takes, for a batch may hold more."""
    parameters = inspect.signature(model.forward).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and not named.keys() & parameters.keys():
        return dict(named)
    found = {name: type for name, type in named.items() if name in parameters}
    if not found:
        raise MaseError.of(
            f"the data set gives {', '.join(named)}, but the model takes {', '.join(parameters)}",
            help="name another [data] source, or write [model] inputs",
        )
    return found


def materialise(
    header: Header,
    *,
    base_dir: Path | None = None,
    data: Any = None,
    trace: Callable[..., Graph] | None = None,
) -> Graph:
    """The graph of the model that a recipe names.

    Args:
        header: the header whose ``model`` is the recipe; the graph keeps all of it.
        base_dir: the folder that relative file names start from.
        data: the data set that the model is for; it says the types of the inputs, the number of classes and
            the like where the recipe leaves them open.
        trace: what captures the model, with the arguments of `mase.frontends.trace`.

    Raises:
        MaseError: if the source is unknown, or what it names is missing, fails or cannot be captured.

    Example:
        >>> graph = materialise(Header(model={"source": "zoo:toy"}))
        >>> [node.op.name for node in graph.nodes][:3]
        ['core.input', 'torch.call', 'nn.linear']
    """
    if trace is None:
        from mase.frontends.capture import trace
    recipe = Recipe.of(header.model, base_dir, data)
    built = build(recipe)
    if built.graph is not None:
        return _headed(built.graph, header, recipe, built)
    types = recipe.inputs or _input_types(built, data)
    if not types:
        raise MaseError.of(
            f"[model] {recipe.source} does not say which inputs it takes",
            help='write inputs = { x = "f32[N,3,32,32]" } under [model]',
        )
    with seeded(recipe.seed):
        examples = example_inputs(types)
    graph = trace(
        _module(built),
        (),
        examples,
        dynamic=dynamic_names(types),
        tracer=recipe.tracer,
        opaque=recipe.opaque,
        name=recipe.name or built.name,
    )
    return _headed(graph, header, recipe, built)


def _headed(graph: Graph, header: Header, recipe: Recipe, built: Built) -> Graph:
    """The graph with the recipe that it came from."""
    graph.header = deepcopy(header)
    graph.header.model |= {**built.settled, "source": built.source or recipe.source}
    return graph
