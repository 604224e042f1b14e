"""Checkpoints on disk, be each a file or a folder: moved so that a kill at any moment loses none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["exists", "link", "mend", "remove", "replace"]


def replace(source: Path, target: Path) -> None:
    """Puts ``source`` in the place of ``target``.

    For files that is one step. A folder takes the place of another in several; `mend` completes or takes
    back what a kill leaves of them.
    """
    if not source.is_dir() and not target.is_dir():
        source.replace(target)
        return
    old = _old(target)
    remove(old)
    if target.exists():
        target.rename(old)
    source.rename(target)
    remove(old)


def mend(target: Path) -> None:
    """Undoes or completes a `replace` that was cut off."""
    remove(_partial(target))
    old = _old(target)
    if old.exists() and not target.exists():
        old.rename(target)
    remove(old)


def exists(target: Path) -> bool:
    """Whether it is there, or will be once another process has mended it."""
    return _old(target).exists() or target.exists()  # in this order: it moves from the first to the second


def link(source: Path, target: Path) -> None:
    """Makes ``target`` the same as ``source``, its files shared where links are possible, else copied."""
    partial = _partial(target)
    remove(partial)
    if source.is_dir():
        shutil.copytree(source, partial, copy_function=_link_file)
    else:
        _link_file(source, partial)
    replace(partial, target)


def remove(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _partial(target: Path) -> Path:
    return target.with_suffix(".partial")


def _old(target: Path) -> Path:
    return target.with_suffix(".old")
