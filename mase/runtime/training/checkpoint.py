"""Reading checkpoints and state dicts into plain modules, losing nothing on the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, cast

import safetensors.torch
import torch
from torch import Tensor, nn

from mase.ir.diagnostics import MaseError

__all__ = ["PREFIX", "WEIGHTS", "Kind", "load_checkpoint", "read_checkpoint", "read_state_dict"]

_log = logging.getLogger(__name__)

Kind = Literal["pl", "pt"]
"""A Lightning checkpoint, or a state dict."""

PREFIX = "model."
"""What a checkpoint puts before each key of the module: the module is the task's submodule ``model``."""


WEIGHTS = "weights.ckpt"
"""Where the weights as a whole lie in a checkpoint that is a folder of parts."""


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """The module's state in a checkpoint, by the module's own keys.

    Args:
        path: a file that Lightning wrote; its ``state_dict`` has the prefix ``model.`` on every key. Or a
            folder that a strategy such as deepspeed made in a run of mase.

    Raises:
        MaseError: if there is no such file, it is not a checkpoint, or a key lacks the prefix.
    """
    return _state(_content(path), path)


def read_state_dict(path: Path | str) -> dict[str, Any]:
    """The tensors of a file that `torch.save` or safetensors wrote, by key.

    Args:
        path: a file with a state dict, or with one under ``state_dict``.

    Raises:
        MaseError: if there is no such file, or it holds no state dict.
    """
    try:
        tidy = Path(path).suffix == ".safetensors"
        content: Any = cast(Any, safetensors.torch).load_file(path) if tidy else _torch(path)
        found = content.get("state_dict", content)
        if not all(isinstance(value, Tensor) for value in found.values()):
            raise TypeError("it holds more than tensors")
        return dict(found)
    except FileNotFoundError as error:
        raise MaseError.of(f"no file {str(path)!r}", help="correct the path") from error
    except Exception as error:
        raise MaseError.of(
            f"{str(path)!r} is not a state dict: {error}",
            help="write it by torch.save(model.state_dict(), ...)",
        ) from error


def _content(path: Path | str) -> dict[str, Any]:
    if (folder := Path(path)).is_dir():
        path = folder / WEIGHTS
        if not path.is_file():
            raise MaseError.of(
                f"checkpoint {str(folder)!r} is a folder without {WEIGHTS}, so no run of mase wrote it",
                help="make one file of it, with zero_to_fp32.py of deepspeed or torch.distributed.checkpoint",
            )
    try:
        content: Any = _torch(path)
        return {**content, "state_dict": cast("dict[str, Any]", content["state_dict"])}
    except FileNotFoundError as error:
        raise MaseError.of(f"no checkpoint {str(path)!r}", help="train first, or correct the path") from error
    except Exception as error:  # torch refuses a file in as many ways as there are files
        raise MaseError.of(
            f"{str(path)!r} is not a Lightning checkpoint: {error}", help="name one of training_ckpts/*.ckpt"
        ) from error


def _state(content: dict[str, Any], path: Path | str) -> dict[str, Any]:
    state: dict[str, Any] = content["state_dict"]
    foreign = [key for key in state if not key.startswith(PREFIX)]
    if foreign:
        raise MaseError.of(
            f"{str(path)!r} has keys that do not start with {PREFIX!r}: {', '.join(foreign)}",
            help="it was not written by `train`; rename or remove these keys",
        )
    return {key.removeprefix(PREFIX): value for key, value in state.items()}


def _torch(path: Path | str) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def load_checkpoint(module: nn.Module, path: Path | str, kind: Kind = "pl") -> None:
    """Loads the weights of a checkpoint into the plain module that was trained.

    Args:
        module: changed in place, and only if every key fits.
        path: ``training_ckpts/best.ckpt``, for example.
        kind: what the file is. A warning tells where a Lightning checkpoint is that of a quantized graph and
            the module is that of a float one.

    Raises:
        MaseError: if the file cannot be read, or listing every key that is missing, unexpected or of
            another shape.
    """
    content = _content(path) if kind == "pl" else {}
    state = _state(content, path) if kind == "pl" else read_state_dict(path)
    problems = _mismatches(module.state_dict(), state)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise MaseError.of(
            f"checkpoint {str(path)!r} does not fit the model:{listed}",
            help="load it into the model, quantized the same way, that it was saved from",
        )
    _compare_levels(content.get("level"), getattr(module, "meta", {}).get("level"), path)
    module.load_state_dict(state)


def _compare_levels(theirs: str | None, ours: str | None, path: Path | str) -> None:
    if theirs == "quantized" and ours == "float":
        _log.warning(
            "%s holds the weights of a quantized graph, and this one is float: it computes other values than "
            "the graph that was trained until it is quantized in the same way; graph.toml beside the "
            "checkpoints has both",
            path,
        )


def _mismatches(own: dict[str, Any], found: dict[str, Any]) -> list[str]:
    problems = [f"missing: {key}" for key in own if key not in found]
    problems += [f"unexpected: {key}" for key in found if key not in own]
    for key in own.keys() & found.keys():
        mine, theirs = own[key], found[key]
        if isinstance(mine, Tensor) and isinstance(theirs, Tensor) and mine.shape != theirs.shape:
            problems.append(f"shape: {key} is {list(theirs.shape)}, the model has {list(mine.shape)}")
    return sorted(problems)
