"""The data set of a graph or recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError

if TYPE_CHECKING:
    from mase.ir.graph import Header
    from mase.runtime.data.base import DataModule

__all__ = ["data_of"]


def data_of(header: Header, base_dir: Path | None = None, *, seed: int = 0) -> DataModule:
    """The data set that ``[data]`` names; what it leaves open and ``[model]`` knows is taken from there.

    Args:
        header: with the table ``data``.
        base_dir: the folder that relative file names start from, beside the working directory.
        seed: seeds the order of the training samples unless ``[data]`` says.

    Raises:
        MaseError: if there is no ``[data]``, or it is wrong.

    Example:
        >>> from mase.ir.graph import Header
        >>> data_of(Header(data={"source": "digits", "batch_size": 8})).batch_size
        8
    """
    from mase.runtime.data import find_data, make_data, options_of

    options = dict(header.data)
    source = options.pop("source", None)
    if not isinstance(source, str):
        raise MaseError.of(
            "there is no data set",
            help='write [data] source = "digits" in the graph.toml, or call run(graph, data=...)',
        )
    known = options_of(find_data(source)[0])
    given = {key: value for key, value in _of_model(header.model).items() if key in known}
    data = make_data(source, base_dir=base_dir, **{"seed": seed, **given, **options})
    data.model = header.model
    return data


def _of_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a model of transformers says of its data: whose tokens it reads, and what its head is for."""
    kind, _, target = str(model.get("source", "")).partition(":")
    if kind != "hf":
        return {}
    return {"tokenizer": target, **({"task": model["task"]} if "task" in model else {})}
