"""Reading the table of results that a command prints."""

from __future__ import annotations

__all__ = ["row"]


def row(printed: str, metric: str) -> list[float]:
    """The values of a metric, one for each stage that has one, in the order of the columns."""
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("│").split("│")]
        if cells[0] == metric:
            return [float(cell) for cell in cells[1:] if cell]
    raise AssertionError(f"no {metric} in\n{printed}")
