"""Run a graph on some batches and summarise every number that it computes on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, cast

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.graph import Graph, Node
from mase.ir.ops.core import Input
from mase.passes.analyses.output import tracked
from mase.passes.analyses.sketch import Sketch, sketch
from mase.passes.analyses.statistics import LEVELS, Statistics

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule
    from rich.console import Console
    from torch import Tensor
    from torch.nn import Module

__all__ = [
    "Split",
    "calibration_inputs",
    "collect_sketches",
    "collect_statistics",
    "model_inputs",
    "weight_sketches",
]

Split = Literal["train", "val", "test"]


def collect_sketches(
    graph: Graph,
    data: LightningDataModule,
    *,
    batches: int = 8,
    split: Split = "train",
    source_model: Module | None = None,
    console: Console | None = None,
) -> dict[str, Sketch]:
    """Run the graph in evaluation mode and summarise what each node computes.

    Processes that train together each look at the same batches, so that all of them choose the same formats.

    Memory does not grow with ``batches``: a sketch takes 512 KiB for each node. Sketches are not
    annotations and are not saved; `Sketch.squared_error` compares formats by them.

    Args:
        graph: the graph; nothing in it changes.
        data: where batches come from.
        batches: how many to look at; all of them if there are fewer.
        split: the part of the data to take them from.
        source_model: the user's model, needed only for a graph that holds opaque modules.
        console: where to show progress, if it is a terminal.

    Returns:
        By node name, for the nodes whose value is a tensor of floats.

    Raises:
        MaseError: naming the node, if a value holds NaN or the batch does not fit; if there is no batch.
    """
    import torch

    from mase.passes.analyses.recorder import Recorder
    from mase.runtime.lower import lower

    recorder = Recorder(lower(graph, source_model=source_model).eval(), graph)
    with torch.no_grad():
        for inputs in calibration_inputs(graph, data, batches=batches, split=split, console=console):
            recorder.take(inputs)
    return recorder.sketches


def calibration_inputs(
    graph: Graph,
    data: LightningDataModule,
    *,
    batches: int,
    split: Split,
    console: Console | None = None,
) -> Iterator[list[Any]]:
    """What the graph is run on to learn of its values: its inputs, batch by batch.

    Args:
        graph: the graph.
        data: where batches come from.
        batches: how many to give; all of them if there are fewer.
        split: the part of the data to take them from.
        console: where to show progress, if it is a terminal.

    Raises:
        MaseError: if there is no batch, or one does not fit.
    """
    seen = 0
    for batch in tracked(islice(_loader(data, split), batches), "calibrate", console, batches):
        yield model_inputs(batch, graph)
        seen += 1
    if not seen:
        raise MaseError.of(f"the {split} split has no batch to calibrate with", help="check [data]")


def collect_statistics(
    graph: Graph,
    data: LightningDataModule,
    *,
    batches: int = 8,
    split: Split = "train",
    levels: Sequence[float] = LEVELS,
    source_model: Module | None = None,
    console: Console | None = None,
) -> dict[str, Statistics]:
    """The summaries of `collect_sketches` as annotations, by node name.

    Args:
        graph: the graph; nothing in it changes.
        data: where batches come from.
        batches: how many to look at.
        split: the part of the data to take them from.
        levels: the quantiles to keep, between 0 and 1.
        source_model: the user's model, needed only for a graph that holds opaque modules.
        console: where to show progress, if it is a terminal.

    Raises:
        MaseError: as `collect_sketches` does.
    """
    found = collect_sketches(
        graph, data, batches=batches, split=split, source_model=source_model, console=console
    )
    return {name: each.statistics(levels) for name, each in found.items() if each.count}


def weight_sketches(node: Node) -> dict[str, Sketch]:
    """The summaries of a node's weights and floating-point buffers by role.

    Raises:
        MaseError: naming the tensor, if one holds NaN, or a parameter holds an infinity.
    """
    found: dict[str, Sketch] = {}
    for role, key in node.params.items():
        tensor = node.graph.state[key]
        if tensor.is_floating_point() and tensor.numel():
            found[role] = _weight_sketch(node, key, tensor)
    return found


def _weight_sketch(node: Node, key: str, tensor: Tensor) -> Sketch:
    help = "the weights are damaged or their training diverged: load or train them anew"
    try:
        made = sketch(tensor)
    except ValueError as error:
        message = f"weight {key!r} holds {error}"
        raise MaseError.of(message, node=node.name, source=node.loc, help=help) from None
    # A buffer may hold infinities on purpose: attention masks do.
    if made.infinite and node.graph.state.entry(key).kind in ("parameter", "frozen"):
        raise MaseError.of(f"weight {key!r} holds infinities", node=node.name, source=node.loc, help=help)
    return made


def model_inputs(batch: Any, graph: Graph) -> list[Any]:
    """What a batch gives for each argument that the graph's inputs lie in, in their order.

    Args:
        batch: a tensor; inputs followed by targets, ``(inputs, labels)``, where ``inputs`` may be such
            a batch itself; or a mapping by input name, in which further entries are ignored.
        graph: the graph.

    Raises:
        MaseError: if an input finds nothing.

    Example:
        >>> from mase.ir import parse_type
        >>> graph = Graph()
        >>> x = graph.add(Input(), type=parse_type("f32[N]"), name="x")
        >>> model_inputs(("images", "labels"), graph), model_inputs({"y": 1, "x": 0}, graph)
        (['images'], [0])
    """
    inputs = {_argument(node): node for node in reversed(graph.inputs)}
    names = list(reversed(inputs))
    if isinstance(batch, Mapping):
        given = cast(Mapping[str, Any], batch)
        return [_named(given, name, inputs[name]) for name in names]
    if not isinstance(batch, Sequence) or isinstance(batch, str):
        values: list[Any] = [batch]
    else:
        values = list(cast(Sequence[Any], batch))
        if isinstance(values[0], Mapping | list | tuple):
            return model_inputs(values[0], graph)
    if len(values) < len(inputs):
        raise MaseError.of(
            f"a batch holds {len(values)} values, but the graph takes {len(names)}: {', '.join(names)}",
            help="let the data module give mappings by input name",
        )
    return values[: len(inputs)]


def _argument(node: Node) -> str:
    """The argument that an input lies in: ``cache`` of ``cache.layers[0].keys``."""
    assert isinstance(node.op, Input)
    return re.split(r"[.\[]", node.op.path, maxsplit=1)[0] or node.name


def _named(given: Mapping[str, Any], name: str, node: Node) -> Any:
    if name not in given:
        raise MaseError.of(
            f"a batch has no entry {name!r}, which the graph takes",
            node=node.name,
            source=node.loc,
            help=did_you_mean(name, given),
        )
    return given[name]


def _loader(data: LightningDataModule, split: Split) -> Iterator[Any]:
    from mase.runtime.data.shuffle import unshared

    data.prepare_data()
    data.setup("test" if split == "test" else "fit")
    make = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}[split]
    with unshared():
        return iter(make())
