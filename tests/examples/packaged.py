"""What tests on packaged real data share: they skip where the cache has not been filled."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.packaged.registry import find, missing

__all__ = ["lay_out", "needs"]


def needs(*names: str) -> pytest.MarkDecorator:
    """Marks a test that needs these sets: it skips, with the reason, where they are not in the cache."""
    reason = missing(*names)
    return pytest.mark.skipif(bool(reason), reason=reason)


def lay_out(into: Path, *names: str) -> Path:
    """Write sets below a folder as ``fetch.py --into`` does, and give the folder; nothing is downloaded."""
    for name in names:
        find(name).write(into)
    return into
