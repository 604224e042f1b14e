"""Where passes write the files that they are asked for."""

from __future__ import annotations

from pathlib import Path

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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)
    return ctx.wrote(path, what)
