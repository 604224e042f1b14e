"""Writing files that are there whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["copy", "write_bytes", "write_text"]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def write_text(path: Path, content: str) -> None:
    """Write a text file in UTF-8, as `write_bytes` does."""
    write_bytes(path, content.encode())


def copy(source: Path, target: Path) -> None:
    """Copy a file, as `write_bytes` does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
