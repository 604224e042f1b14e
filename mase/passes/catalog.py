"""What users can choose by name: models, data sets, tasks; asked for by command lines."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mase.ir.diagnostics import MaseError, did_you_mean

if TYPE_CHECKING:
    from mase.ir.graph import Header

__all__ = [
    "Entry",
    "Kind",
    "catalog",
    "check_source",
    "check_task",
    "data_options",
    "data_task",
    "model_source",
    "training_defaults",
]

Kind = Literal["model", "dataset", "source"]

_PLANNED_TASKS = ("translation",)
"""Known names whose tasks a later version brings."""

_SOURCES = (
    ("hf:NAME-OR-DIR", "a model or save_pretrained folder of Hugging Face", "transformers", ""),
    ("torchvision:NAME", "a model of torchvision", "torchvision", "vision"),
    ("timm:NAME", "a model of timm", "timm", "vision"),
)
"""Kinds of model sources with what they need: a package, and the extra of mase that brings it."""


@dataclass(frozen=True)
class Entry:
    """Something that has a name.

    Args:
        name: what users write.
        summary: a line on what it is.
        missing: what must be installed first; empty if nothing.
    """

    name: str
    summary: str
    missing: str = ""


def catalog(kind: Kind) -> list[Entry]:
    """Everything of a kind that can be named here.

    Args:
        kind: ``model`` (of the zoo and of plugins), ``dataset``, or ``source`` (other places of models).

    Example:
        >>> "toy-tiny" in [entry.name for entry in catalog("dataset")]
        True
    """
    return list({"model": _models, "dataset": _datasets, "source": _sources}[kind]())


def model_source(name: str) -> str:
    """The ``[model] source`` that a user means by a name.

    Args:
        name: a registered model, or a source already.

    Example:
        >>> model_source("toy"), model_source("net.py:Net")
        ('zoo:toy', 'net.py:Net')
    """
    return name if ":" in name else f"zoo:{name}"


def check_source(kind: str) -> None:
    """Say so if a kind of model source is not there.

    Args:
        kind: what stands before the colon of a source, such as ``hf``.

    Raises:
        MaseError: if it is not.
    """
    if kind not in _kinds():
        raise MaseError.of(
            f"models from {kind}: are not part of this version of mase",
            help=f"there are {', '.join(_kinds())}; a plugin can register others",
        )


def data_options(source: str) -> list[str]:
    """The options that a data set takes.

    Args:
        source: its name.

    Raises:
        MaseError: if there is no such data set.

    Example:
        >>> "batch_size" in data_options("toy-tiny")
        True
    """
    from mase.runtime.data import find_data, options_of

    return options_of(find_data(source)[0])


def data_task(header: Header, base_dir: Path | None = None) -> str:
    """The task that the data set of a recipe is for.

    Args:
        header: with ``[data]``, and ``[model]``, which may decide what open data are for.
        base_dir: the folder that relative file names start from.

    Raises:
        MaseError: if there is no such data set.

    Example:
        >>> from mase.ir.graph import Header
        >>> data_task(Header(data={"source": "toy-tiny"}))
        'classification'
    """
    from mase.passes.data import data_of

    return getattr(data_of(header, base_dir), "task", "classification")


def check_task(name: str) -> None:
    """Say so if a task is not there.

    Args:
        name: its full name.

    Raises:
        MaseError: if it is not.
    """
    from mase.runtime.tasks import TASKS

    if name in TASKS:
        return
    if name in _PLANNED_TASKS:
        raise MaseError.of(
            f"task {name!r} is not part of this version of mase",
            help=f"there are {', '.join(TASKS)}; a plugin can register others",
        )
    raise MaseError.of(f"unknown task {name!r}", help=did_you_mean(name, [*TASKS, *_PLANNED_TASKS]))


def training_defaults(task: str) -> dict[str, Any]:
    """What a task trains with where nobody says otherwise, by option of ``train``.

    Raises:
        MaseError: if there is no such task.

    Example:
        >>> training_defaults("classification")["optimizer"]
        'adam'
    """
    from dataclasses import asdict

    from mase.runtime.tasks import TASKS
    from mase.runtime.training.config import TrainConfig
    from mase.runtime.training.optimization import resolve

    return asdict(resolve(TrainConfig(), TASKS[task].defaults))


def _models() -> Iterator[Entry]:
    zoo: Any = import_module("mase.frontends.zoo")
    for name in zoo.model_names():
        yield _entry(name, lambda name=name: zoo.find_model(name))


def _datasets() -> Iterator[Entry]:
    from mase.runtime.data import DATA

    for name in DATA:
        yield _entry(name, lambda name=name: DATA[name])


def _sources() -> Iterator[Entry]:
    yield Entry("file.py:CALLABLE", "what your own file makes")
    yield Entry("package.module:CALLABLE", "what an installed package makes")
    for name, summary, package, extra in _SOURCES:
        if name.partition(":")[0] not in _kinds():
            yield Entry(name, summary, "a later version of mase")
        elif find_spec(package) is None:
            yield Entry(name, summary, f"pip install 'mase[{extra}]'" if extra else f"pip install {package}")
        else:
            yield Entry(name, summary)


def _kinds() -> list[str]:
    found: Any = import_module("mase.frontends.recipe")
    return found.source_kinds()


def _entry(name: str, find: Any) -> Entry:
    """What a definition says of itself; one that does not load says why."""
    try:
        return Entry(name, (inspect.getdoc(find()) or "").partition("\n")[0])
    except ImportError as error:
        return Entry(name, "", f"pip install {error.name}")
    except MaseError as error:
        return Entry(name, "", error.diagnostics[0].message)
