"""Where passes write the files that they are asked for."""

from __future__ import annotations

from pathlib import Path

from mase.ir.files import write_atomically
from mase.passes.context import Context

__all__ = ["write_file"]


def write_file(ctx: Context, file: str, content: str | bytes, what: str) -> Path:
    """Write a file whole or not at all, and tell the run of it.

    Args:
        ctx: the context; a relative ``file`` lies in its output folder, if it has one.
        file: the path.
        content: text (UTF-8) or bytes.
        what: a few words on what it is, such as ``"graph drawing"``.
    """
    path = (ctx.output_dir or Path()) / file
    data = content.encode() if isinstance(content, str) else content

    def write(part: Path) -> None:
        part.write_bytes(data)

    write_atomically(path, write)
    return ctx.wrote(path, what)
