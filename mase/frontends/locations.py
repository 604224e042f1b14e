"""Where a node comes from: the user's file and line, and the path of the module that computed it."""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mase.ir.diagnostics import Location

__all__ = ["culprit_location", "location_of", "scope_of"]

_FRAME = re.compile(r'^ *File "(.+?)", line (\d+)', re.MULTILINE)
_CALL_COUNT = re.compile(r"@\d+")
_FRONTENDS = Path(__file__).parent
_TORCH = str(Path(torch.__file__).parent)
_STDLIB = sysconfig.get_path("stdlib")


@cache
def location_of(stack_trace: str) -> Location | None:
    r"""The innermost line of the user's model in a stack that torch recorded.

    Frames of mase and torch never count, and those of transformers only where the model has no others.

    Example:
        >>> location_of('  File "net.py", line 7, in forward\n    return x + 1\n')
        Location(file='net.py', line=7)
    """
    return _innermost([(file, int(line)) for file, line in _FRAME.findall(stack_trace)])


def culprit_location(error: BaseException) -> Location | None:
    """The innermost line of the user's model on the stack of an exception."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    return _innermost(frames)


def _innermost(frames: list[tuple[str, int]]) -> Location | None:
    inside = list(_inside_model(frames))
    own = [f for f in inside if "/transformers/" not in f[0].replace("\\", "/")] or inside
    return Location(_shown(own[-1][0]), own[-1][1]) if own else None


def _inside_model(frames: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """The frames of the model's code: the caller's, before the first frame of mase, are not the model's."""
    entry = next((i for i, (file, _) in enumerate(frames) if _is_ours(file)), -1)
    return (frame for frame in frames[entry + 1 :] if not _is_machinery(frame[0]))


def _is_ours(file: str) -> bool:
    """Whether a file belongs to capture; the models of the zoo, a folder deeper, are models."""
    return Path(file).parent == _FRONTENDS


def _is_machinery(file: str) -> bool:
    if _is_ours(file) or file.startswith((_TORCH, "torch/", "<")):
        return True
    return file.startswith(_STDLIB) and "site-packages" not in file


@cache
def _shown(file: str) -> str:
    """The file relative to the installed packages, the working directory or Python's path; else as it is."""
    path = Path(file)
    packages = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for root in (*map(Path, packages), Path.cwd(), *(Path(p) for p in sys.path if p)):
        if path.is_absolute() and path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()


def scope_of(meta: Mapping[str, Any], prefix: str = "") -> str:
    """The path of the innermost module around a traced call.

    Args:
        meta: the ``meta`` of an fx node; ``nn_module_stack`` maps to (path, class) pairs.
        prefix: a leading part of the path to leave out.
    """
    stack: dict[str, tuple[str, Any]] = meta.get("nn_module_stack") or {}
    path = _CALL_COUNT.sub("", next(reversed(stack.values()))[0]) if stack else ""
    if prefix and (path == prefix or path.startswith(f"{prefix}.")):
        return path[len(prefix) + 1 :]
    return "" if path.startswith("_empty_nn_module_stack") else path
